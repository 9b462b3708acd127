r"""An observer that knows the smooth lens up to its tangent space, and nothing of the substructure.

It has seen many draws of substructure around the lens and takes what they leave, in units of the
noise and off the tangent space, for a Gaussian field of mean m and covariance C that is the same
but for its strength a, which differs from draw to draw. Its score is the log-likelihood ratio

.. math::
    \ln \Big\langle \mathcal N(x;\, a m, 1 + a^2 C) \Big\rangle_a - \ln \mathcal N(x;\, 0, 1),

a quadratic form of the data for each a (Hotelling's observer is its linear part). C is kept in the
principal axes of one half of the training draws, with variances from the other half: the axes were
chosen for the first half's chance, which would make its variances too large.

No observer of the same knowledge beats the true likelihood ratio, and this one is a model of it:
what it reaches is a floor of what is possible, not a limit.

References
----------
.. [1] Barrett & Myers 2004, Foundations of Image Science, section 13.2.12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from darkarcs.errors import DataError
from darkarcs.limits.redrawing import redraw_substructure
from darkarcs.limits.tangent import MacroTangents
from darkarcs.scenes import LensParameters, Scene
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float64]

#: Noise realizations of each draw that is shown in the test.
_NOISES = 4
#: Strengths that the draws are summarized by.
_STRENGTHS = 8
#: Images rendered at a time.
_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class QuadraticObserver:
    """Scores data of one lens in the axes of its training draws.

    Attributes
    ----------
    axes : ndarray, shape (P, A)
        Orthonormal.
    mean : ndarray, shape (A,)
        Of the draws along the axes, in units of the noise.
    variance : ndarray, shape (A,)
        About this mean.
    strengths : ndarray, shape (J,)
        Equally likely values of a.
    """

    axes: Floats
    mean: Floats
    variance: Floats
    strengths: Floats

    def score(self, data: Floats, noise_factor: float = 1.0) -> Floats:
        """Compute the log-likelihood ratio of substructure against none.

        Parameters
        ----------
        data : ndarray, shape (S, A)
            Along the axes, in units of the noise.
        noise_factor : float, default 1
            Noise of the data in units of the training's.

        Returns
        -------
        ndarray, shape (S,)
            Natural logarithm.
        """
        each = []
        for strength in self.strengths / noise_factor:
            spread = 1 + strength**2 * self.variance
            distance = (data - strength * self.mean) ** 2 / spread
            each.append(0.5 * (data**2 - distance - np.log(spread)).sum(axis=-1))
        return np.asarray(logsumexp(each, axis=0) - np.log(len(each)))


def train_observer(residuals: Floats, *, strengths: int = _STRENGTHS) -> QuadraticObserver:
    """Learn from draws of substructure around one lens.

    Parameters
    ----------
    residuals : ndarray, shape (S, P)
        Noiseless differences from the smooth lens in units of the noise, projected off the
        tangent space. The first half chooses the axes, the second gives mean and variances.
    strengths : int, default 8
        Values of the field's strength; 1 is a plain quadratic observer.

    Returns
    -------
    QuadraticObserver
        Of this lens.

    Raises
    ------
    DataError
        If there are fewer than eight draws.
    """
    if len(residuals) < 8:
        raise DataError(f"{len(residuals)} draws are too few to learn from: give 8, better 200")
    half = len(residuals) // 2
    axes = np.linalg.svd(residuals[:half].T, full_matrices=False)[0]
    seen = residuals[half:] @ axes
    size = np.sqrt((seen**2).sum(axis=1))
    levels = (np.arange(strengths) + 0.5) / strengths
    relative = np.quantile(size, levels)
    scale = np.sqrt((relative**2).mean())
    return QuadraticObserver(
        axes=axes,
        mean=seen.mean(axis=0),
        variance=seen.var(axis=0, ddof=1),
        strengths=relative / scale if scale > 0 else np.ones(strengths),
    )


def draw_residuals(
    scene: Scene,
    class_name: str,
    lens: LensParameters,
    tangents: MacroTangents,
    count: int,
    *,
    seed: int = 0,
) -> Floats:
    """Render draws of substructure around one lens and take away what a smooth lens mimics.

    Parameters
    ----------
    scene : Scene
        Of the lens.
    class_name : str
        Which substructure.
    lens : LensParameters
        One lens.
    tangents : MacroTangents
        Of this lens.
    count : int
        How many draws.
    seed : int, default 0
        Of the draws.

    Returns
    -------
    ndarray, shape (count, P)
        In units of the noise.
    """
    drawn = redraw_substructure(scene, class_name, lens, count, seed=seed)
    parts = []
    for start in range(0, count, _AT_ONCE):
        images = scene.render(drawn.select(slice(start, start + _AT_ONCE)))
        parts.append(tangents.project(tangents.whiten(images[None]))[0])
    return np.concatenate(parts)


def examine(
    observer: QuadraticObserver,
    residuals: Floats,
    *,
    noise_factor: float = 1.0,
    seed: int = 0,
    address: str = "",
) -> tuple[Floats, Floats]:
    """Score noisy images of draws that the observer has not seen, and images of no substructure.

    The observer looks along its axes only, where white noise is white again; no image needs to
    be made.

    Parameters
    ----------
    observer : QuadraticObserver
        Trained on other draws around the same lens.
    residuals : ndarray, shape (S, P)
        Of the test's draws.
    noise_factor : float, default 1
        Noise in units of the scene's.
    seed : int, default 0
        Of the noise.
    address : str, optional
        Of the lens, so that each has noise of its own.

    Returns
    -------
    cases, controls : ndarray, shape (4 S,)
        Scores.
    """
    random = numpy_generator(seed, "limits", "observer's noise", address)
    signal = np.repeat(residuals @ observer.axes, _NOISES, axis=0) / noise_factor
    cases = observer.score(signal + random.standard_normal(signal.shape), noise_factor)
    controls = observer.score(random.standard_normal(signal.shape), noise_factor)
    return cases, controls
