"""The one contract for images of lenses: the same in memory, on disk and from a reader."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from darkarcs.data.ragged import RaggedTable
from darkarcs.errors import DataError

#: Key of a manifest that tells how residuals were made (`darkarcs.fitting`).
SMOOTH_FIT = "smooth_fit"


def pixel_identity(image: NDArray[Any]) -> str:
    """Hash the decoded pixels of one image.

    The hash covers the shape and the float32 values in little-endian order, never the file's
    name, container or compression, so that the same picture has the same identity wherever it
    is stored without loss.

    Parameters
    ----------
    image : ndarray, shape (C, H, W)
        Pixels of any real dtype, hashed as float32.

    Returns
    -------
    str
        64 hexadecimal digits (SHA-256).

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(6).reshape(1, 2, 3)
    >>> pixel_identity(image) == pixel_identity(image.astype(np.float32))
    True
    >>> pixel_identity(image) == pixel_identity(image.reshape(1, 3, 2))
    False
    """
    pixels = np.ascontiguousarray(image, dtype="<f4")
    digest = hashlib.sha256(f"float32{pixels.shape}".encode())
    digest.update(pixels.data)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class LensImages:
    """Images of lenses with their labels, metadata and provenance.

    Parameters
    ----------
    images : ndarray of float32, shape (N, C, H, W)
        Pixel values as they were stored: 8-bit pictures keep 0 to 255, counts stay counts.
        Scaling is the work of `darkarcs.data.Preprocessing`.
    labels : ndarray of int64, shape (N,), or None
        Index into ``class_names``; None where the classes are unknown.
    class_names : tuple of str
        Canonical names in canonical order (`darkarcs.labels.order_classes`); empty if
        unlabelled.
    metadata : dict of str to ndarray, each of length N
        Columns. Always there: ``"identity"`` (`pixel_identity`, or a scene's own), ``"group"``
        (what no split may cut; by default the identity) and ``"name"`` (path inside the set).
    pixel_scale : float or None
        Arcsec per pixel, None where it is unknown or differs between images.
    manifest : dict
        JSON-able provenance: ``source``, ``format``, ``content_hash``, ``num_images``,
        ``skipped`` and what else the reader found.
    lists : dict of str to RaggedTable
        What has a list for each image, such as ``"subhalos"``; empty for most sets.

    Raises
    ------
    DataError
        If shapes, dtypes or lengths break the contract.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4)
    >>> lenses = LensImages.from_arrays(pixels, labels=[1, 0], class_names=("no_sub", "sub"))
    >>> len(lenses), lenses.num_channels, lenses.class_counts()
    (2, 1, {'no_sub': 1, 'sub': 1})
    >>> lenses.select([1]).labels
    array([0])
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    metadata: dict[str, NDArray[Any]] = field(default_factory=dict)
    pixel_scale: float | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, RaggedTable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.float32:
            raise DataError(
                f"lens images must be float32 of shape (N, C, H, W), not {self.images.dtype} "
                f"of shape {self.images.shape}"
            )
        for column in ("identity", "group", "name"):
            if column not in self.metadata:
                raise DataError(f"lens images lack the metadata column '{column}'")
        for column, values in self.metadata.items():
            if values.shape != (len(self),):
                raise DataError(
                    f"metadata column '{column}' has shape {values.shape}, not ({len(self)},)"
                )
        for name, table in self.lists.items():
            if len(table) != len(self):
                raise DataError(f"lists '{name}' are of {len(table)} images, not {len(self)}")
        self._check_labels()

    def _check_labels(self) -> None:
        if self.labels is None:
            if self.class_names:
                raise DataError(f"class names {list(self.class_names)} without labels")
            return
        if self.labels.shape != (len(self),) or self.labels.dtype != np.int64:
            raise DataError(
                f"labels must be int64 of shape ({len(self)},), not {self.labels.dtype} of "
                f"shape {self.labels.shape}"
            )
        num_classes = len(self.class_names)
        if len(self) and not (self.labels.min() >= 0 and self.labels.max() < num_classes):
            raise DataError(
                f"labels run from {self.labels.min()} to {self.labels.max()} but there are "
                f"{num_classes} class names"
            )

    @classmethod
    def from_arrays(
        cls,
        images: ArrayLike,
        labels: ArrayLike | None = None,
        class_names: Sequence[str] = (),
        metadata: Mapping[str, ArrayLike] | None = None,
        pixel_scale: float | None = None,
        manifest: Mapping[str, Any] | None = None,
        lists: Mapping[str, RaggedTable] | None = None,
    ) -> Self:
        """Build lens images from arrays, filling in what the contract wants.

        Parameters
        ----------
        images : array_like, shape (N, C, H, W)
            Converted to float32.
        labels : array_like of int, shape (N,), optional
            Index into ``class_names``.
        class_names : sequence of str, optional
            Needed with labels.
        metadata : mapping of str to array_like, optional
            Columns; identity, group and name are made where they are missing.
        pixel_scale : float, optional
            Arcsec per pixel.
        manifest : mapping, optional
            Provenance; the content hash and the number of images are always set anew.
        lists : mapping of str to RaggedTable, optional
            Lists of each image.

        Returns
        -------
        LensImages
            With a complete manifest.
        """
        pixels = np.ascontiguousarray(images, dtype=np.float32)
        columns = {name: np.asarray(values) for name, values in (metadata or {}).items()}
        if "identity" not in columns:
            columns["identity"] = np.array([pixel_identity(image) for image in pixels], dtype="U64")
        columns.setdefault("group", columns["identity"].copy())
        columns.setdefault("name", np.array([f"{i:06d}" for i in range(len(pixels))], dtype=str))
        lenses = cls(
            images=pixels,
            labels=None if labels is None else np.asarray(labels, dtype=np.int64),
            class_names=tuple(class_names),
            metadata=columns,
            pixel_scale=pixel_scale,
            manifest={"source": "memory", "format": "arrays", "skipped": [], **(manifest or {})},
            lists=dict(lists or {}),
        )
        lenses.manifest.update(content_hash=lenses.content_hash, num_images=len(lenses))
        return lenses

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def num_channels(self) -> int:
        """Number of channels of every image."""
        return int(self.images.shape[1])

    @property
    def label_names(self) -> NDArray[np.str_]:
        """Class name of each image, shape (N,); empty strings where unlabelled."""
        if self.labels is None:
            return np.full(len(self), "", dtype="U1")
        return np.asarray(self.class_names, dtype=str)[self.labels]

    @property
    def content_hash(self) -> str:
        """SHA-256 of the sorted (identity, class name) pairs: blind to names and to order."""
        pairs = sorted(
            f"{identity} {label}\n"
            for identity, label in zip(self.metadata["identity"], self.label_names, strict=True)
        )
        return hashlib.sha256("".join(pairs).encode()).hexdigest()

    def class_counts(self) -> dict[str, int]:
        """Count the images of each class, in the order of the class names.

        Returns
        -------
        dict of str to int
            Empty if unlabelled.
        """
        if self.labels is None:
            return {}
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return {name: int(count) for name, count in zip(self.class_names, counts, strict=True)}

    def select(self, indices: ArrayLike) -> LensImages:
        """Take some images, in the order asked for.

        Parameters
        ----------
        indices : array_like of int or bool
            Positions, or a mask of length N.

        Returns
        -------
        LensImages
            A copy with the same class names; its manifest has its own content hash and names
            the one it was taken from as ``selected_from``.
        """
        chosen = np.asarray(indices)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        part = LensImages(
            images=self.images[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            class_names=self.class_names,
            metadata={name: values[chosen] for name, values in self.metadata.items()},
            pixel_scale=self.pixel_scale,
            manifest={**self.manifest},
            lists={name: table.select(chosen) for name, table in self.lists.items()},
        )
        origin = self.manifest.get("content_hash") or self.content_hash
        part.manifest.update(
            content_hash=part.content_hash, num_images=len(part), selected_from=origin
        )
        return part
