r"""Where could a subhalo be? A matched filter over every place of an image, linear and all at once.

A small deflection :math:`\delta\alpha` beside that of the fitted smooth lens changes pixel i, in
units of its noise, by :math:`g_i \cdot \delta\alpha(\theta_i)`, where :math:`g_i` is the slope of
its light in the position of the source. With a subhalo at :math:`\theta_j` of unit strength and
deflection :math:`a`, the template is :math:`s_{ij} = g_i \cdot a(\theta_i - \theta_j)`; with T the
slopes of the image in the K parameters of the smooth lens, whose prior is standard normal, noise
and ignorance of the lens have the covariance :math:`\Sigma = 1 + T T^T`, and

.. math::
    \hat\epsilon_j = \frac{s_j^T \Sigma^{-1} d}{s_j^T \Sigma^{-1} s_j}, \qquad
    z_j = \frac{s_j^T \Sigma^{-1} d}{\sqrt{s_j^T \Sigma^{-1} s_j}}

are the best estimate of the strength and its significance: standard normal at each place where the
lens is smooth. At the minimum of a fit :math:`\Sigma^{-1} d` are its residuals. All sums over i are
correlations with :math:`a`, hence Fourier transforms. The blur is applied to g, not to the product
with :math:`a`, which varies little over it.

References
----------
.. [1] Koopmans 2005, MNRAS 363, 1136, for corrections of the potential linear in the gradient of
   the source.
.. [2] Vegetti & Koopmans 2009, MNRAS 392, 945, for subhalos found by it.
.. [3] Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, section 2.7, for linear
   parameters marginalized with a normal prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from darkarcs.fitting.fitted_lenses import SmoothFits
from darkarcs.fitting.smooth_fit import SmoothFitter
from darkarcs.kernels import run_in_parts
from darkarcs.lensing import pseudo_jaffe

#: The subhalo that is searched: an isothermal sphere, cut off here. In the fair Euclid scene
#: it hardly matters where.
TRUNCATION_ARCSEC = 0.6
#: Images searched at a time in one thread: their templates' transforms lie in memory.
_AT_ONCE = 8
#: Step of the source's position, in pixels.
_STEP = 0.05
#: Share of a template's strength that is rounding.
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class SubhaloMaps:
    """What a search finds in B images.

    Attributes
    ----------
    residuals : Tensor, shape (B, C, H, W)
        In standard deviations of the noise, after a last linear step of the fit.
    significance : Tensor, shape (B, 1, H, W)
        z of a subhalo in the middle of each pixel.
    sensitivity : Tensor, shape (B, 1, H, W)
        -log10 of the Einstein radius in arcsec that would stand out by one standard deviation.
    """

    residuals: Tensor
    significance: Tensor
    sensitivity: Tensor


class _Linear(NamedTuple):
    """A fit's surroundings, in units of the noise; float64."""

    residuals: Tensor  # (B, C, H, W)
    gradient: Tensor  # (B, C, 2, H, W)
    known: Tensor  # (B, C, K, H, W): orthogonal combinations of slopes, less what the prior knows


class SubhaloSearch:
    """Searches images whose smooth lenses were fitted.

    Parameters
    ----------
    fitter : SmoothFitter
        What fitted them.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> scene = load_scene("fair-euclid", ["num_pixels=48"]).with_classes(["no_sub"])
    >>> lenses = scene.draw(seed=3, start=0, count=1)
    >>> observed = scene.observe(scene.render(lenses), lenses, torch.Generator().manual_seed(0))
    >>> fitter = SmoothFitter(scene)
    >>> maps = SubhaloSearch(fitter).search(observed, fitter.fit(observed))
    >>> bool(0.5 < maps.significance.std() < 1.5)
    True
    """

    def __init__(self, fitter: SmoothFitter) -> None:
        self.fitter = fitter
        pixels = fitter.scene.num_pixels
        # twice the image, so that nothing comes around its edges
        offsets = torch.fft.fftfreq(2 * pixels, 0.5 / pixels).double()
        y, x = torch.meshgrid(offsets, offsets, indexing="ij")
        scale = fitter.scene.instrument.pixel_scale
        core = scale / 2  # no pixel resolves more
        strength = {
            "core_radius": core,
            "truncation_radius": TRUNCATION_ARCSEC,
            "central_convergence": (1 / core - 1 / TRUNCATION_ARCSEC) / 2,  # of radius 1 arcsec
        }
        alpha = pseudo_jaffe.deflection(scale * x, scale * y, **strength)
        self._alpha = self._transform(torch.stack(alpha))  # (2, 2 H, W + 1)
        squares = torch.stack((alpha[0] ** 2, alpha[1] ** 2, 2 * alpha[0] * alpha[1]))
        self._alpha_squared = self._transform(squares)

    def search(self, images: Tensor, fits: SmoothFits) -> SubhaloMaps:
        """Search images.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W), electrons / s
            That were fitted.
        fits : SmoothFits
            To these.

        Returns
        -------
        SubhaloMaps
            In float32.
        """
        parts: list[tuple[int, SubhaloMaps]] = []

        def search_part(first: int, last: int) -> None:
            for start in range(first, last, _AT_ONCE):
                chosen = slice(start, min(start + _AT_ONCE, last))
                parts.append((start, self._search(images[chosen], fits, chosen)))

        with torch.no_grad():
            run_in_parts(search_part, len(images))
        ordered = [part for _, part in sorted(parts, key=lambda part: part[0])]
        empty = images[:0].float()
        return SubhaloMaps(
            torch.cat([empty, *(part.residuals for part in ordered)]),
            torch.cat([empty[:, :1], *(part.significance for part in ordered)]),
            torch.cat([empty[:, :1], *(part.sensitivity for part in ordered)]),
        )

    def _search(self, images: Tensor, fits: SmoothFits, chosen: slice) -> SubhaloMaps:
        near = self._linearize(images, fits, chosen)
        gradient = near.gradient
        score = self._correlate(gradient * near.residuals[:, :, None]).sum(1)
        xx, yy = (gradient**2).unbind(2)
        products = torch.stack((xx, yy, gradient[:, :, 0] * gradient[:, :, 1]), dim=2).sum(1)
        total = self._back(self._alpha_squared.conj() * self._transform(products)).real
        # band by band, K slopes at a time
        known = sum(
            self._correlate(gradient[:, c, None] * near.known[:, c, :, None])
            for c in range(gradient.shape[1])
        )
        assert isinstance(known, Tensor)
        left = torch.maximum(total - (known**2).sum(1), _ROUNDING * total + 1e-300)
        return SubhaloMaps(
            near.residuals.float(),
            (score / left.sqrt()).float()[:, None],
            (0.5 * torch.log10(left)).float()[:, None],
        )

    def _linearize(self, images: Tensor, fits: SmoothFits, chosen: slice) -> _Linear:
        parameters, scale = fits.parameters[chosen], fits.scale[chosen].double()
        residuals = (images.double() - fits.images[chosen].double()) * scale
        slopes = self.fitter.slopes(parameters).double() * scale[:, None]  # (B, K, C, H, W)
        flat = slopes.flatten(2)
        curvature = flat @ flat.transpose(1, 2) + torch.eye(flat.shape[1], dtype=torch.float64)
        triangle = torch.linalg.cholesky(curvature)
        # the fit stops when chi-squared hardly falls any more: one step leads to the very minimum
        uphill = (flat @ residuals.flatten(1)[:, :, None])[..., 0] - parameters.double()
        step = torch.cholesky_solve(uphill[..., None], triangle)[..., 0]
        residuals = residuals - torch.einsum("bk,bkchw->bchw", step, slopes)
        known = torch.linalg.solve_triangular(triangle, flat, upper=False).reshape(slopes.shape)
        gradient = self._gradient(parameters).double() * scale[:, :, None]
        return _Linear(residuals, gradient, known.transpose(1, 2))

    def _gradient(self, parameters: Tensor) -> Tensor:
        """Slopes of the light in the source's position; shape (B, C, 2, H, W)."""
        step = _STEP * self.fitter.scene.instrument.pixel_scale
        values = self.fitter.coordinates.decode(parameters)
        slopes = []
        for name in ("source.centre_x", "source.centre_y"):
            ahead, behind = (
                self.fitter.render({**values, name: values[name] + sign * step}) for sign in (1, -1)
            )
            slopes.append((ahead - behind) / (2 * step))
        return torch.stack(slopes, dim=2)

    def _correlate(self, vectors: Tensor) -> Tensor:
        """Sum vectors (..., 2, H, W) times the deflection of a subhalo at each place."""
        return self._back(self._alpha.conj() * self._transform(vectors))

    def _transform(self, maps: Tensor) -> Tensor:
        size = 2 * self.fitter.scene.num_pixels
        return torch.as_tensor(torch.fft.rfft2(maps, s=(size, size)))

    def _back(self, transformed: Tensor) -> Tensor:
        """Add up components (..., I, 2 H, W + 1) and give maps (..., H, W)."""
        pixels = self.fitter.scene.num_pixels
        maps = torch.fft.irfft2(transformed.sum(-3), s=(2 * pixels, 2 * pixels))
        return torch.as_tensor(maps[..., :pixels, :pixels])
