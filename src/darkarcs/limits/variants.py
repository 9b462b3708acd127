"""The scenes of a sweep: one class against ``no_sub``, at one mass fraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from darkarcs.errors import ConfigurationError
from darkarcs.scenes import Scene

CONTROL = "no_sub"


@dataclass(frozen=True)
class Variant:
    """A class of a scene, with the mass fraction that was set.

    Attributes
    ----------
    scene : Scene
        With the classes ``no_sub`` and ``class_name``.
    class_name : str
        Which.
    fraction : float, optional
        None for the scene's own.
    """

    scene: Scene
    class_name: str
    fraction: float | None


def make_variants(
    scene: Scene, classes: Sequence[str] = (), fractions: Sequence[float] = ()
) -> list[Variant]:
    """List what a sweep measures.

    Smooth lenses, sources and noise are the same in all of them, since a scene's streams go by
    its name, and the smooth lens does not depend on its classes.

    Parameters
    ----------
    scene : Scene
        With ``no_sub``.
    classes : sequence of str, optional
        All but ``no_sub`` by default; with fractions, those that have a mass fraction.
    fractions : sequence of float, optional
        Mean mass fractions.

    Returns
    -------
    list of Variant
        Class by class.

    Raises
    ------
    ConfigurationError
        If the scene has no ``no_sub``, no such class, or a class has no mass fraction to set.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> variants = make_variants(load_scene("fair-euclid"), fractions=[0.01, 0.1])
    >>> [(variant.class_name, variant.fraction) for variant in variants]
    [('cdm', 0.01), ('cdm', 0.1)]
    """
    if CONTROL not in scene.classes:
        raise ConfigurationError(
            f"scene {scene.name} has no class {CONTROL} to compare with: it has "
            f"{', '.join(scene.class_names)}"
        )
    chosen = list(scene.with_classes([CONTROL, *(classes or scene.classes)]).classes)
    chosen.remove(CONTROL)
    if fractions and not classes:
        chosen = [name for name in chosen if hasattr(scene.classes[name], "mass_fraction")]
    if not chosen:
        raise ConfigurationError(
            f"scene {scene.name} has no class to compare with {CONTROL}"
            f"{' that has a mass fraction' if fractions else ''}"
        )
    steps: list[float | None] = [*fractions] if fractions else [None]
    return [
        Variant(_with_fraction(scene, name, fraction), name, fraction)
        for name in chosen
        for fraction in steps
    ]


def _with_fraction(scene: Scene, class_name: str, fraction: float | None) -> Scene:
    kind = scene.classes[class_name]
    if fraction is not None:
        if not hasattr(kind, "mass_fraction"):
            raise ConfigurationError(
                f"class {class_name} of scene {scene.name} has no mass_fraction to go through"
            )
        values = kind.model_dump() | {"mass_fraction": fraction}
        kind = type(kind).parse(values, f"classes.{class_name}")
    classes = {CONTROL: scene.classes[CONTROL], class_name: kind}
    return scene.model_copy(update={"classes": classes})
