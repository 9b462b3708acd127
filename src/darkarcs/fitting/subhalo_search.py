r"""Where could subhalos be? Templates at every place of an image, in linear approximation.

A subhalo at :math:`\theta_j` of unit strength deflects by :math:`a(\theta - \theta_j)` beside the
fitted smooth lens, which changes the image by

.. math:: s_j = \sigma^{-1} B \left[ \nabla_c I \cdot a(\theta - \theta_j) \right],

in units of the noise: :math:`\nabla_c I` are the slopes of the lensed source's light, ray by ray,
in the position c of the source, and B blurs and averages over pixels. With T the slopes of the
image in the parameters of the smooth lens, whose prior is standard normal, noise and ignorance of
the lens have the covariance :math:`\Sigma = 1 + T T^T`; at the minimum of a fit
:math:`\Sigma^{-1} d` are its residuals. With :math:`b_j = s_j^T \Sigma^{-1} d` and
:math:`G_{ij} = s_i^T \Sigma^{-1} s_j`, a subhalo at j alone has the significance

.. math:: z_j = b_j / \sqrt{G_{jj}},

standard normal where the lens is smooth, and the strength :math:`b_j / G_{jj}`. For subhalos
everywhere, of independent normal strengths of mean zero and variance :math:`A^2` each, the log of
the evidence against the smooth lens is

.. math::
    \ln \frac{p(d \mid A)}{p(d \mid 0)} = \frac12 \sum_j \left[ b_j \hat\kappa_j(A)
    - (\ln (1 + A^2 G))_{jj} \right], \qquad
    \hat\kappa(A) = A^2 (1 + A^2 G)^{-1} b:

each summand is what one place contributes, with :math:`\hat\kappa` the Wiener-filtered strengths.

Where the source may be no Sersic profile, T holds its slopes in the amplitudes of
`darkarcs.fitting.free_source` too, and :math:`\nabla_c I` those of the source with its bumps.

References
----------
.. [1] Koopmans 2005, MNRAS 363, 1136, and Vegetti & Koopmans 2009, MNRAS 392, 945, for corrections
   of the potential, linear in the gradient of the source.
.. [2] Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, sections 2.7 and 5.4.1,
   for linear parameters with a normal prior, and for the evidence.
.. [3] Cyr-Racine, Keeton & Moustakas 2019, PRD 100, 023013, for substructure as a Gaussian field.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from darkarcs.errors import DataError
from darkarcs.fitting.fitted_lenses import SmoothFits
from darkarcs.fitting.free_source import FreeFit, FreeSource
from darkarcs.fitting.smooth_fit import SmoothFitter
from darkarcs.kernels import run_in_parts
from darkarcs.lensing import pseudo_jaffe
from darkarcs.scenes.rendering import light, trace

#: Distance of neighbouring places, about: less than the subhalo that is searched is wide.
SPACING_ARCSEC = 0.4
#: The subhalo that is searched: an isothermal sphere with a core and a cut-off.
CORE_ARCSEC, TRUNCATION_ARCSEC = 0.05, 0.6
#: A, of the places of a square arcsec together: Einstein radius in arcsec, root mean square.
STRENGTHS = (2e-3, 5e-3, 1.25e-2)
#: Images whose slopes are computed at a time in one thread.
_AT_ONCE = 8
#: Places that are computed at a time: temporaries of large images would not fit into caches.
_PLACES_AT_ONCE = 16
#: Step of the source's position, in samples: a cuspy source bends within a tenth of one.
_STEP = 0.01
#: Share of a template's square that may be rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class SubhaloMaps:
    """What a search finds in B images, at Y times X places.

    Attributes
    ----------
    residuals : Tensor, shape (B, C, H, W)
        In standard deviations of the noise, after a last linear step of the fit.
    significance : Tensor, shape (B, 1, Y, X)
        z of a subhalo in the middle of each place.
    sensitivity : Tensor, shape (B, 1, Y, X)
        -log10 of the Einstein radius in arcsec that would stand out by one standard deviation.
    evidence : Tensor, shape (B, S, Y, X)
        What each place contributes to the logarithm of the evidence, by `STRENGTHS`.
    signal : Tensor, shape (B, C, H, W)
        The fitted light, in standard deviations of the noise.
    ruggedness : Tensor, shape (B,)
        RMS of a free source around a Sersic profile; 0 if sources are not free.
    parameters : Tensor, shape (B, K)
        Standardized coordinates of the lenses.
    converged : Tensor of bool, shape (B,)
        Whether the fits have.
    smooth_evidence : Tensor of float64, shape (B,)
        Of free sources the log evidence of the lenses without subhalos, up to a constant of each
        image; 0 if sources are not free.
    """

    residuals: Tensor
    significance: Tensor
    sensitivity: Tensor
    evidence: Tensor
    signal: Tensor
    ruggedness: Tensor
    parameters: Tensor
    converged: Tensor
    smooth_evidence: Tensor

    @property
    def log_evidence(self) -> Tensor:
        """Of subhalos against none, the strengths equally likely; shape (B,)."""
        each = self.evidence.double().flatten(2).sum(2)
        log_mean = torch.logsumexp(each, dim=1) - torch.log(torch.tensor(each.shape[1]))
        return log_mean.float()

    def select(self, chosen: Tensor) -> SubhaloMaps:
        """Take the maps of some of the images.

        Parameters
        ----------
        chosen : Tensor of int64, shape (N,)
            Which.

        Returns
        -------
        SubhaloMaps
            In this order.
        """
        return SubhaloMaps(*(getattr(self, one.name)[chosen] for one in fields(self)))

    def put(self, chosen: Tensor, others: SubhaloMaps) -> None:
        """Replace the maps of some of the images.

        Parameters
        ----------
        chosen : Tensor of int64, shape (N,)
            Which.
        others : SubhaloMaps
            Of these N.
        """
        for one in fields(self):
            getattr(self, one.name)[chosen] = getattr(others, one.name)


class _Linear(NamedTuple):
    """A fit's surroundings, in units of the noise; float64."""

    residuals: Tensor  # (B, C, H, W)
    known: Tensor  # (B, K, C H W): K combinations of slopes whose square is T T^T (1 + T T^T)^-1


class SubhaloSearch:
    """Searches images whose smooth lenses were fitted.

    Parameters
    ----------
    fitter : SmoothFitter
        What fitted them.
    free_source : bool, default False
        Whether sources may differ from Sersic profiles, of which the fits are.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> scene = load_scene("fair-euclid", ["num_pixels=48"]).with_classes(["no_sub"])
    >>> lenses = scene.draw(seed=3, start=0, count=1)
    >>> observed = scene.observe(scene.render(lenses), lenses, torch.Generator().manual_seed(0))
    >>> fitter = SmoothFitter(scene)
    >>> maps = SubhaloSearch(fitter).search(observed, fitter.fit(observed))
    >>> tuple(maps.significance.shape), bool(0.5 < maps.significance.std() < 1.5)
    ((1, 1, 12, 12), True)
    """

    def __init__(self, fitter: SmoothFitter, *, free_source: bool = False) -> None:
        self.fitter = fitter
        self.free = FreeSource(fitter) if free_source else None
        scene = fitter.scene
        field = scene.num_pixels * scene.instrument.pixel_scale
        self.side = max(1, round(field / SPACING_ARCSEC))
        cell = field / self.side
        self.variances = [(strength * cell) ** 2 for strength in STRENGTHS]
        axis = (torch.arange(self.side) - (self.side - 1) / 2) * cell
        y, x = (place.flatten() for place in torch.meshgrid(axis, axis, indexing="ij"))
        theta_x, theta_y = scene.grid.coordinates()
        # of Einstein radius 1 arcsec between core and cut-off
        strength = (1 / CORE_ARCSEC - 1 / TRUNCATION_ARCSEC) / 2
        self._alpha = torch.empty(2, len(x), *theta_x.shape)  # (2, J, N, N)
        for start in range(0, len(x), _PLACES_AT_ONCE):
            some = slice(start, start + _PLACES_AT_ONCE)
            self._alpha[0, some], self._alpha[1, some] = pseudo_jaffe.deflection(
                theta_x,
                theta_y,
                central_convergence=strength,
                core_radius=CORE_ARCSEC,
                truncation_radius=TRUNCATION_ARCSEC,
                centre_x=x[some, None, None],
                centre_y=y[some, None, None],
            )

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
            In float32; an image's do not depend on the others.

        Raises
        ------
        DataError
            If there are other fits than images.
        """
        if fits.images.shape != images.shape:
            raise DataError(
                f"fits to images of shape {tuple(fits.images.shape)} were given with images of "
                f"shape {tuple(images.shape)}: fit these"
            )
        maps = 2 + len(STRENGTHS)
        residuals, signal = torch.empty(images.shape), torch.empty(images.shape)
        ruggedness, smooth = torch.zeros(len(images)), torch.zeros(len(images)).double()
        parameters, converged = fits.parameters.clone(), torch.from_numpy(fits.converged.copy())
        found = torch.empty(len(images), maps, self.side**2)

        def search_part(first: int, last: int) -> None:
            for start in range(first, last, _AT_ONCE):
                chosen = slice(start, min(start + _AT_ONCE, last))
                near = self._linearize(images[chosen], fits, chosen)
                residuals[chosen] = near.residuals.float()
                signal[chosen] = fits.images[chosen] * fits.scale[chosen]
                for i in range(chosen.start, chosen.stop):
                    some = _Linear(*(part[i - start] for part in near))
                    found[i] = self._maps(self._of_sersic_source(fits, i), some)

        def free_part(first: int, last: int) -> None:
            assert self.free is not None
            for i in range(first, last):
                one = self.free.fit(images[i], fits.parameters[i])
                residuals[i] = one.residuals.reshape(images[i].shape).float()
                signal[i], ruggedness[i], smooth[i] = one.signal, one.ruggedness, one.log_evidence
                parameters[i], converged[i] = one.parameters, one.converged
                templates = self._templates(one.slopes, one.weights, one.values)
                found[i] = self._maps(templates, one)

        with torch.no_grad():
            run_in_parts(search_part if self.free is None else free_part, len(images))
        found = found.reshape(-1, maps, self.side, self.side)
        places = found[:, :1], found[:, 1:2], found[:, 2:]
        of_fits = (signal, ruggedness, parameters, converged, smooth)
        return SubhaloMaps(residuals, *places, *of_fits)

    def _maps(self, templates: Tensor, near: _Linear | FreeFit) -> Tensor:
        """Significance, sensitivity and evidence of one image; shape (2 + S, J)."""
        score = templates @ near.residuals.flatten()
        total = templates @ templates.T
        shared = templates @ near.known.T
        gram = total - shared @ shared.T
        own = torch.maximum(gram.diagonal(), _ROUNDING * total.diagonal() + 1e-300)
        strength, axes = torch.linalg.eigh(gram)
        strength, along = strength.clamp(min=0), axes.T @ score
        maps = [score / own.sqrt(), 0.5 * torch.log10(own)]
        for variance in self.variances:
            filtered = axes @ (variance / (1 + variance * strength) * along)
            volume = axes**2 @ torch.log1p(variance * strength)
            maps.append(0.5 * (score * filtered - volume))
        return torch.stack(maps).float()

    def _of_sersic_source(self, fits: SmoothFits, i: int) -> Tensor:
        """Templates of an image as its fit has it."""
        scene = self.fitter.scene
        values = self.fitter.coordinates.decode(fits.parameters[i : i + 1])
        _, beta = trace(values, scene.lens, scene.grid)
        step = _STEP * scene.grid.sample_scale
        slopes = []
        for name in ("source.centre_x", "source.centre_y"):
            ahead, behind = (
                light(*beta, {**values, name: values[name] + move}, "source", scene.source, None)
                for move in (step, -step)
            )
            slopes.append((ahead - behind) / (2 * step))
        shares = torch.cat([values[f"{one.prefix}.source"] for one in scene.channels])
        return self._templates(torch.stack(slopes), shares[:, None, None] * fits.scale[i], values)

    def _templates(self, slopes: Tensor, weights: Tensor, values: dict[str, Tensor]) -> Tensor:
        """What subhalos of unit strength change in one image; float64, shape (J, C H W)."""
        alpha_x, alpha_y = self._alpha
        templates = torch.empty(len(alpha_x), weights.numel(), dtype=torch.float64)
        for start in range(0, len(templates), _PLACES_AT_ONCE):
            some = slice(start, start + _PLACES_AT_ONCE)
            change = slopes[0] * alpha_x[some] + slopes[1] * alpha_y[some]
            # the blur is linear: places take the part of bands
            blurred = self.fitter.scene.blur(change[None], values)[0]
            templates[some] = (blurred[:, None] * weights).flatten(1)
        return templates

    def _linearize(self, images: Tensor, fits: SmoothFits, chosen: slice) -> _Linear:
        parameters, scale = fits.parameters[chosen], fits.scale[chosen].double()
        residuals = (images.double() - fits.images[chosen].double()) * scale
        slopes = self.fitter.model.slopes(parameters).double() * scale[:, None]  # (B, K, C, H, W)
        flat = slopes.flatten(2)
        curvature = flat @ flat.transpose(1, 2) + torch.eye(flat.shape[1], dtype=torch.float64)
        triangle = torch.linalg.cholesky(curvature)
        # the fit stops when chi-squared hardly falls any more: one step leads to the very minimum
        uphill = (flat @ residuals.flatten(1)[:, :, None])[..., 0] - parameters.double()
        step = torch.cholesky_solve(uphill[..., None], triangle)[..., 0]
        residuals = residuals - torch.einsum("bk,bkchw->bchw", step, slopes)
        known = torch.linalg.solve_triangular(triangle, flat, upper=False)
        return _Linear(residuals, known)
