"""The lenses of which detection limits are made: smooth ones, and the same with one subhalo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError
from darkarcs.limits.tangent import MacroTangents, macro_tangents
from darkarcs.limits.whitening import noise_scale
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.single_subhalo import SingleSubhalo
from darkarcs.scenes.substructure import NoSubstructure
from darkarcs.seeding import torch_generator

Floats = NDArray[np.float64]
#: Observers that know the subhalo and, of the smooth lens: all, how it is drawn, nothing.
ORACLE, INFORMED, MARGINALIZED = "oracle", "oracle within the prior", "marginalized oracle"
ORACLES = (ORACLE, INFORMED, MARGINALIZED)
#: Pixels brighter than this share of the smooth, noiseless image's peak are the arc.
ARC_SHARE = 0.3
#: Distances, arcsec, from which the subhalo of a lens without a template is drawn.
DEFAULT_DISTANCE = {"uniform": [0.0, 1.0]}


@dataclass(frozen=True)
class SmoothLenses:
    """Smooth lenses of a scene, rendered.

    Attributes
    ----------
    parameters : LensParameters
        Of B lenses.
    images : Tensor, shape (B, C, H, W)
        Noiseless.
    scale : Tensor, shape (B, C, H, W)
        What differences are multiplied by to be in units of the noise.
    tangents : MacroTangents, optional
        What a change of the smooth lens or of the source could mimic.
    """

    parameters: LensParameters
    images: Tensor
    scale: Tensor
    tangents: MacroTangents | None

    def strengths(self, images: Tensor) -> dict[str, Floats]:
        """Compute how far images lie from their smooth twins, as each oracle sees it.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Noiseless, of lenses with substructure; any number where there is a single twin.

        Returns
        -------
        dict of str to ndarray of shape (B,)
            In units of the noise: d of `ORACLE`, and where there are tangents of the others.
        """
        if self.tangents is None:
            white = (images - self.images).double() * self.scale.double()
            return {ORACLE: white.flatten(1).norm(dim=1).numpy()}
        single = len(self.images) == 1
        found = self.tangents.strengths(self.tangents.whiten(images[None] if single else images))
        values = {ORACLE: found.d, INFORMED: found.d_prior, MARGINALIZED: found.d_perp}
        return {name: value.reshape(-1) for name, value in values.items()}


def template_of(scene: Scene) -> SingleSubhalo:
    """Find the subhalo that a scene's detection limits are about.

    Parameters
    ----------
    scene : Scene
        Any.

    Returns
    -------
    SingleSubhalo
        That of the scene's class of this kind, if it has one; else one within 1 arcsec of the
        ring, of the structure that `Subhalos` has.
    """
    for kind in scene.classes.values():
        if isinstance(kind, SingleSubhalo):
            return kind
    return SingleSubhalo.parse({"log10_mass": 9.0, "distance_to_arc": DEFAULT_DISTANCE}, "default")


def smooth_scene(scene: Scene) -> Scene:
    """Leave only the smooth class of a scene.

    Parameters
    ----------
    scene : Scene
        Any.

    Returns
    -------
    Scene
        Its lens i is the smooth twin of lens i of `scene_with`.
    """
    return scene.model_copy(update={"classes": {"no_sub": NoSubstructure()}})


def scene_with(scene: Scene, template: SingleSubhalo, log10_mass: float) -> Scene:
    """Put one subhalo of one mass into every lens of a scene.

    Parameters
    ----------
    scene : Scene
        Any.
    template : SingleSubhalo
        Structure and place.
    log10_mass : float, log10 solar masses
        Instead of the template's.

    Returns
    -------
    Scene
        Of the class ``sub``; places do not depend on the mass.

    Raises
    ------
    ConfigurationError
        If the mass is not a finite number.
    """
    if not np.isfinite(log10_mass):
        raise ConfigurationError(f"{log10_mass}: a mass must be a finite number")
    kind = template.model_copy(update={"log10_mass": float(log10_mass)})
    return scene.model_copy(update={"classes": {"sub": kind}})


def render_smooth(
    scene: Scene, parameters: LensParameters, nuisances: Mapping[str, float] | None = None
) -> SmoothLenses:
    """Render smooth lenses.

    Parameters
    ----------
    scene : Scene
        From `smooth_scene`.
    parameters : LensParameters
        What it drew.
    nuisances : mapping of str to float, optional
        From `darkarcs.scenes.smooth.macro_nuisances`: differentiate in these, too.

    Returns
    -------
    SmoothLenses
        With the scale of their noise.

    Raises
    ------
    ConfigurationError
        If the scene has no noise, or one that is correlated between pixels.
    """
    if nuisances is not None:
        tangents = macro_tangents(scene, parameters, nuisances)
        return SmoothLenses(parameters, tangents.images.float(), tangents.scale, tangents)
    with torch.no_grad():
        images = scene.render(parameters)
        return SmoothLenses(parameters, images, noise_scale(scene, images, parameters), None)


def observe(scene: Scene, images: Tensor, parameters: LensParameters, draw: str) -> LensImages:
    """Add noise, as a telescope would.

    Parameters
    ----------
    scene : Scene
        Of the images.
    images : Tensor, shape (B, C, H, W)
        Noiseless.
    parameters : LensParameters
        Of the images.
    draw : str
        Tells one draw of the noise from another.

    Returns
    -------
    LensImages
        Without labels, for a `darkarcs.inference.Predictor`.
    """
    place = (scene.name, str(scene.version), parameters.part, "detection", draw)
    generator = torch_generator(parameters.seed, *place, int(parameters.indices[0]))
    with torch.no_grad():
        observed = scene.observe(images, parameters, generator)
    return LensImages.from_arrays(observed.numpy(), pixel_scale=scene.instrument.pixel_scale)


def distance_to_arc(images: Tensor, x: Floats, y: Floats, pixel_scale: float) -> Floats:
    """Measure how far points are from the light of the arc.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Noiseless images of the smooth lenses.
    x, y : ndarray, shape (B,), arcsec
        One point an image, from its centre; x to the right, y along the rows' numbers.
    pixel_scale : float, arcsec
        Side of a pixel.

    Returns
    -------
    ndarray, shape (B,), arcsec
        From the edge of the nearest pixel that is brighter than `ARC_SHARE` of the peak; zero
        inside one.

    Examples
    --------
    >>> image = torch.zeros(1, 1, 5, 5)
    >>> image[0, 0, 2, 4] = 1.0
    >>> distance_to_arc(image, np.array([0.0]), np.array([0.0]), 0.1).round(3).tolist()
    [0.15]
    """
    light = images.sum(dim=1).numpy()
    arc = light >= ARC_SHARE * light.max(axis=(1, 2), keepdims=True)
    rows, columns = ((np.arange(n) - (n - 1) / 2) * pixel_scale for n in light.shape[1:])
    beyond_x = np.maximum(np.abs(columns[None] - x[:, None]) - pixel_scale / 2, 0)  # (B, W)
    beyond_y = np.maximum(np.abs(rows[None] - y[:, None]) - pixel_scale / 2, 0)  # (B, H)
    distance = np.hypot(beyond_y[:, :, None], beyond_x[:, None, :])
    return np.asarray(np.where(arc, distance, np.inf).min(axis=(1, 2)))
