"""The table of parameters of a batch of lenses: all that an image is made of, noise aside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Streams of a scene: no lens, and no source galaxy, is in two of them.
Part = Literal["train", "validation", "test"]
#: ``massless``: substructure of next to no mass; ``smooth``: its mass put into the smooth lens.
Null = Literal["massless", "smooth"]


@dataclass(frozen=True, eq=False)
class LensParameters:
    """Parameters of B lenses.

    Attributes
    ----------
    scene : str
        Name, version and hash of the scene, such as ``fair-euclid/1/3fa9c2d1``.
    seed : int
        Root seed.
    part : str
        Which stream of lenses: "train", "validation" or "test".
    indices : ndarray of int64, shape (B,)
        Positions in the stream of images.
    labels : ndarray of int64, shape (B,)
        Index into ``class_names``.
    class_names : tuple of str
        Of the scene, in canonical order.
    groups : ndarray of str, shape (B,)
        What no split may cut: a pair, or a source galaxy.
    columns : dict of str to ndarray, each of shape (B,)
        One number a lens: ``lens.einstein_radius``, ``source.centre_x`` ... in the units that
        the priors state.
    masses : dict of str to dict of str to ndarray, each of shape (B, S)
        Substructure in lists: ``point_masses`` (``mass``, ``x``, ``y``, ``einstein_radius``) and
        ``subhalos`` (of truncated NFW profile: ``mass``, ``bound_mass``, ``x``, ``y``,
        ``concentration``, ``scale_radius``, ``truncation_radius``, ``scale_deflection``).
        Padding has no mass.
    fields : dict of str to ndarray, each of shape (B, N, N)
        Substructure on a grid: ``granules`` (convergence).
    """

    scene: str
    seed: int
    part: Part
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    groups: NDArray[np.str_]
    columns: dict[str, NDArray[np.float64]]
    masses: dict[str, dict[str, NDArray[np.float64]]]
    fields: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def identities(self) -> NDArray[np.str_]:
        """Name of each lens: scene, version, hash, seed, part and index; shape (B,).

        Returns
        -------
        ndarray of str
            The same wherever the lens is made.
        """
        prefix = f"{self.scene}/{self.part}/{self.seed}"
        return np.array([f"{prefix}/{index}" for index in self.indices], dtype=str)

    def select(self, chosen: NDArray[np.int64] | slice) -> LensParameters:
        """Take some of the lenses.

        Parameters
        ----------
        chosen : ndarray of int64, or slice
            Positions in the batch.

        Returns
        -------
        LensParameters
            In the order asked for.
        """
        return replace(
            self,
            indices=self.indices[chosen],
            labels=self.labels[chosen],
            groups=self.groups[chosen],
            columns={name: values[chosen] for name, values in self.columns.items()},
            masses={
                kind: {name: values[chosen] for name, values in table.items()}
                for kind, table in self.masses.items()
            },
            fields={name: values[chosen] for name, values in self.fields.items()},
        )

    def tensors(
        self, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        """Give everything that rendering reads as tensors.

        Parameters
        ----------
        dtype : torch.dtype, default float32
            Precision.
        device : torch.device or str, default "cpu"
            Where they go.

        Returns
        -------
        dict of str to Tensor
            Columns by their names with shape (B,); masses as ``subhalos.x`` with shape (B, S);
            fields as ``fields.granules`` with shape (B, N, N).
        """
        arrays: dict[str, NDArray[np.float64]] = dict(self.columns)
        for kind, table in self.masses.items():
            arrays |= {f"{kind}.{name}": values for name, values in table.items()}
        arrays |= {f"fields.{name}": values for name, values in self.fields.items()}
        return {
            name: torch.from_numpy(np.ascontiguousarray(values)).to(device=device, dtype=dtype)
            for name, values in arrays.items()
        }

    def content_hash(self) -> str:
        """Hash the table of parameters, as benchmarks quote it.

        Returns
        -------
        str
            SHA-256 of the identities, labels and all numbers rounded to nine digits, so that the
            last bit of a mathematical library does not matter.
        """
        digest = hashlib.sha256("\n".join(self.identities).encode())
        digest.update(self.labels.astype("<i8").tobytes())
        tables: dict[str, Mapping[str, NDArray[np.float64]]] = {"": self.columns, **self.masses}
        for kind in sorted(tables):
            for name in sorted(tables[kind]):
                digest.update(f"{kind}.{name}".encode())
                digest.update(_rounded(tables[kind][name]).tobytes())
        return digest.hexdigest()


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nine significant digits; zero stays, and minus zero becomes zero."""
    values = np.asarray(values, dtype="<f8")
    size = np.abs(values)
    exponent = np.floor(np.log10(np.where(size > 0, size, 1.0)))
    unit = 10.0 ** (exponent - 8)
    return np.ascontiguousarray(np.round(values / unit) * unit + 0.0)
