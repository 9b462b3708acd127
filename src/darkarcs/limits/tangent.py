r"""What a smooth lens could mimic: the tangent space of the macro parameters, in units of noise.

With the smooth image :math:`\mu_0`, the noise :math:`\sigma` of its pixels and the derivatives
:math:`T_{ik} = \sigma_i^{-1} \partial\mu_{0,i} / \partial p_k` in everything that the scene draws
for lens, source and blur, a difference :math:`\delta = (\mu_1 - \mu_0) / \sigma` has the strengths

.. math::
    d = |\delta|, \qquad
    d_\perp^2 = \delta^T (1 - Q Q^T) \delta, \qquad
    d_\mathrm{prior}^2 = \delta^T (1 + T P T^T)^{-1} \delta,

where the columns of Q are an orthonormal basis of those of T and P is diagonal with the variances
of the scene's prior. :math:`d_\perp` takes the parameters as free, and is what limits quote;
:math:`d_\mathrm{prior}` lies between the two, for an observer that also knows how widely
they are drawn. Both replace the family of smooth lenses by its tangent, see
`darkarcs.limits.refit`.

References
----------
.. [1] Tegmark, Taylor & Heavens 1997, ApJ 480, 22, section 2, for information about parameters
   beside others that are marginalized.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.limits.derivatives import linearize
from darkarcs.limits.whitening import noise_scale
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.smooth import galaxies_of, macro_nuisances, smooth_values

Floats = NDArray[np.float64]

#: Directions of the tangent space that are weaker than this share of the strongest one, each
#: parameter's derivative scaled to one, are none: rounding made them.
RANK_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Strengths:
    """How many standard deviations of the noise differences stand out by.

    Attributes
    ----------
    d : ndarray
        From the smooth lens that is known.
    d_perp : ndarray
        From any smooth lens, in linear approximation.
    d_prior : ndarray
        The same where the scene's prior holds the smooth lens back.
    """

    d: Floats
    d_perp: Floats
    d_prior: Floats


@dataclass(frozen=True, eq=False)
class MacroTangents:
    """Smooth images of B lenses with the tangent spaces of their parameters; P = C H W pixels.

    Attributes
    ----------
    names : tuple of str
        The K parameters.
    images : Tensor of float64, shape (B, C, H, W)
        Noiseless, without substructure.
    scale : Tensor of float64, shape (B, C, H, W)
        What a difference is multiplied by to be in units of the smooth image's noise.
    basis : ndarray of float64, shape (B, P, K)
        Orthonormal columns along the principal axes of the prior in data space; zero columns
        where the parameters are degenerate.
    widths : ndarray of float64, shape (B, K)
        Standard deviation of the data along each column, by the prior.
    """

    names: tuple[str, ...]
    images: Tensor
    scale: Tensor
    basis: Floats
    widths: Floats

    def __len__(self) -> int:
        return len(self.images)

    def select(self, chosen: slice) -> MacroTangents:
        """Take some of the lenses.

        Parameters
        ----------
        chosen : slice
            Which.

        Returns
        -------
        MacroTangents
            Of these.
        """
        names = ("images", "scale", "basis", "widths")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def whiten(self, images: Tensor) -> Floats:
        """Express the differences between images and the smooth ones in units of the noise.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W) or (B, S, C, H, W)
            Noiseless; S of each lens.

        Returns
        -------
        ndarray of float64, shape (B, P) or (B, S, P)
            The differences.
        """
        smooth, scale = self.images, self.scale
        if images.ndim == 5:
            smooth, scale = smooth[:, None], scale[:, None]
        return np.asarray(((images.to(smooth) - smooth) * scale).flatten(-3).numpy())

    def project(self, whitened: Floats) -> Floats:
        """Take away what the smooth lens could mimic.

        Parameters
        ----------
        whitened : ndarray, shape (B, P) or (B, S, P)
            Differences, from `whiten`.

        Returns
        -------
        ndarray of float64, same shape
            Orthogonal to the tangent space.
        """
        shares = self._shares(whitened)
        mimicked = np.matmul(shares, self.basis.transpose(0, 2, 1))
        return np.asarray(whitened - mimicked.reshape(whitened.shape))

    def strengths(self, whitened: Floats, noise_factor: float = 1.0) -> Strengths:
        """Measure differences.

        Parameters
        ----------
        whitened : ndarray, shape (B, P) or (B, S, P)
            From `whiten`.
        noise_factor : float, default 1
            As if the noise were larger by this. The first two strengths fall with it; a prior
            counts for more where the data say less.

        Returns
        -------
        Strengths
            Each of shape (B,) or (B, S).
        """
        shape = whitened.shape[:-1]
        total = (whitened**2).sum(axis=-1)
        mimicked = self._shares(whitened) ** 2  # (B, S, K)
        square = (self.widths[:, None] / noise_factor) ** 2
        held_back = (mimicked * square / (1 + square)).sum(axis=-1).reshape(shape)
        free = mimicked.sum(axis=-1).reshape(shape)
        return Strengths(
            d=np.sqrt(total) / noise_factor,
            d_perp=np.sqrt(np.maximum(total - free, 0.0)) / noise_factor,
            d_prior=np.sqrt(np.maximum(total - held_back, 0.0)) / noise_factor,
        )

    def _shares(self, whitened: Floats) -> Floats:
        rows = whitened.reshape(len(self), -1, whitened.shape[-1])
        return np.asarray(np.matmul(rows, self.basis))


def macro_tangents(
    scene: Scene,
    smooth: LensParameters,
    nuisances: Mapping[str, float] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
) -> MacroTangents:
    """Compute smooth images and their tangent spaces.

    Parameters
    ----------
    scene : Scene
        Whose lenses.
    smooth : LensParameters
        From `smooth_partners`.
    nuisances : mapping of str to float, optional
        From `macro_nuisances`; found again by default.
    dtype : torch.dtype, default float32
        Of the derivatives; projections are in float64 in any case.

    Returns
    -------
    MacroTangents
        Of all lenses.

    Raises
    ------
    ConfigurationError
        If the scene's noise is none, or is correlated between pixels.
    """
    nuisances = macro_nuisances(scene) if nuisances is None else nuisances
    names = tuple(nuisances)
    prior = np.array([nuisances[name] for name in names])
    images, slopes = [], []
    for image, derivatives in _linearized(scene, smooth, names, dtype):
        images.append(image)
        slopes.append(derivatives)
    stacked = torch.stack(images).double()
    scale = noise_scale(scene, stacked, smooth)
    spaces = [
        tangent_basis((slope.double() * one).flatten(1).numpy().T, prior)
        for slope, one in zip(slopes, scale, strict=True)
    ]
    basis, widths = (np.stack(parts) for parts in zip(*spaces, strict=True))
    return MacroTangents(names, stacked, scale, basis, widths)


def tangent_basis(tangents: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """Find the principal axes of the data that a linear family with a Gaussian prior makes.

    Parameters
    ----------
    tangents : ndarray, shape (P, K)
        Derivatives of the data, in units of the noise, in each parameter.
    prior : ndarray, shape (K,)
        Standard deviations of the parameters.

    Returns
    -------
    basis : ndarray, shape (P, K)
        Orthonormal columns that span the tangents; zero columns stand for degenerate ones.
    widths : ndarray, shape (K,)
        Standard deviation of the data along each of them.

    Examples
    --------
    >>> basis, widths = tangent_basis(np.array([[3.0, 3.0], [4.0, 4.0], [0.0, 0.0]]), np.ones(2))
    >>> abs(basis).round(3).tolist(), widths.round(3).tolist()
    ([[0.6, 0.0], [0.8, 0.0], [0.0, 0.0]], [7.071, 0.0])
    """
    lengths = np.linalg.norm(tangents, axis=0)
    unit = tangents / np.where(lengths > 0, lengths, 1.0)
    left, triangle = np.linalg.qr(unit)
    axes, strength, right = np.linalg.svd(triangle)
    rank = int((strength > RANK_TOLERANCE * max(strength.max(initial=0.0), 1e-300)).sum())
    spanned = left @ axes[:, :rank]
    reach = strength[:rank, None] * right[:rank] * (lengths * prior)
    turn, spread, _ = np.linalg.svd(reach, full_matrices=False)
    basis, widths = np.zeros_like(tangents), np.zeros(tangents.shape[1])
    basis[:, :rank], widths[:rank] = spanned @ turn, spread
    return basis, widths


def _linearized(
    scene: Scene, smooth: LensParameters, names: tuple[str, ...], dtype: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    galaxies = galaxies_of(scene, smooth, dtype)
    values = smooth_values(smooth, dtype=dtype)
    for i in range(len(smooth)):
        one = {name: value[i : i + 1].clone() for name, value in values.items()}
        change = linearize(scene, one, names, galaxies)
        yield change.image, change.derivatives
