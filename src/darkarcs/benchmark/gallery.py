"""The gallery: each scene and each telescope in pictures, pairs and their difference."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from darkarcs.benchmark.gallery_figures import Panel, draw_scene, draw_telescopes
from darkarcs.errors import ConfigurationError, require_new
from darkarcs.evaluation.files import write_new
from darkarcs.instrument import list_instruments, load_instrument
from darkarcs.scenes import LensParameters, Scene, list_scenes, load_scene
from darkarcs.seeding import torch_generator

#: Side of the field that the overview of telescopes shows, arcsec.
FIELD = 5.0
#: The scene whose lens the telescopes look at, and what makes it worth looking at.
_TELESCOPE_SCENE = "fair-euclid"
_TELESCOPE_CHANGES = ("source.magnitude=22.5", "source.half_light_radius=0.2")


@dataclass(frozen=True)
class Shown:
    """Lenses of a scene, each in all classes.

    Attributes
    ----------
    panels : list of list of Panel
        First index the lens, second the class.
    detectability : ndarray, shape (lenses, classes)
        d, the distance of an image from the one without substructure in units of the noise:
        the root of the sum of squares over pixels. NaN where the scene has no noise.
    """

    panels: list[list[Panel]]
    detectability: NDArray[np.float64]


def make_gallery(
    out: Path,
    scenes: Sequence[str] = (),
    *,
    seed: int = 1,
    num_lenses: int = 3,
    num_measured: int = 12,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Draw scenes and telescopes into a new folder.

    Parameters
    ----------
    out : pathlib.Path
        The new folder.
    scenes : sequence of str
        Names or YAML files; by default all that come with the package and whose source galaxies
        are there.
    seed : int
        Of the lenses.
    num_lenses : int
        Lenses drawn of each scene.
    num_measured : int
        Lenses of which the median detectability is taken, those drawn among them.
    progress : callable, optional
        Called with the name of what is drawn next.

    Returns
    -------
    pathlib.Path
        The page, ``index.html``, which needs none of the other files. Beside it there are
        ``SCENE.png``, ``telescopes.png`` and ``gallery.json`` (facts of each scene).

    Raises
    ------
    OutputExistsError
        If the folder is there and not empty.
    ConfigurationError
        If a scene is not valid.
    """
    out = require_new(Path(out))
    loaded, left_out = _drawable(scenes, seed)
    facts: dict[str, Any] = {}
    pictures: list[tuple[str, str, bytes]] = []
    for scene in loaded:
        if progress is not None:
            progress(scene.name)
        shown = show_scene(scene, seed=seed, num_lenses=max(num_lenses, num_measured))
        facts[scene.name] = describe(scene, shown)
        picture = draw_scene(scene.description, scene.class_names, shown.panels[:num_lenses])
        pictures.append((scene.name, scene.description, picture))
    if progress is not None:
        progress("telescopes")
    columns = show_telescopes(seed=seed)
    caption = "One lens, seen by every telescope with its own pixels, point spread and noise"
    pictures.append(("telescopes", caption, draw_telescopes(columns, FIELD)))
    for name, _, picture in pictures:
        write_new(out / f"{name}.png", picture)
    write_new(out / "gallery.json", (json.dumps(facts, indent=2) + "\n").encode())
    write_new(out / "index.html", _page(pictures, facts, left_out).encode())
    return out / "index.html"


def show_scene(scene: Scene, *, seed: int, num_lenses: int) -> Shown:
    """Render lenses of a scene, each in all its classes.

    Parameters
    ----------
    scene : Scene
        Any.
    seed : int
        Of the lenses.
    num_lenses : int
        How many.

    Returns
    -------
    Shown
        In the order of the stream.
    """
    num_classes = len(scene.class_names)
    parameters = scene.draw(seed, 0, num_lenses * num_classes, paired=True)
    with torch.no_grad():
        exact = scene.render(parameters)
        generator = torch_generator(seed, scene.name, "gallery")
        observed = scene.observe(exact, parameters, generator).double()
        deviation = scene.noise_variance(exact, parameters).double().sqrt()
    expected = exact.double()
    if "noise.log10_exposure" in parameters.columns:  # counting noise is in counts
        exposure = torch.from_numpy(10 ** parameters.columns["noise.log10_exposure"])
        expected = expected * exposure[:, None, None, None]
    panels, detectability = [], np.full((num_lenses, num_classes), np.nan)
    for lens in range(num_lenses):
        first = lens * num_classes
        row = []
        for label in range(num_classes):
            here = first + label
            difference = expected[here] - expected[first]
            noise = (deviation[here] ** 2 + deviation[first] ** 2).div(2).sqrt()
            noisy = bool((noise > 0).all())
            if noisy:
                detectability[lens, label] = float((difference / noise).square().sum().sqrt())
                shown = difference.sum(0) / noise.square().sum(0).sqrt()
            else:
                shown = 100 * difference.sum(0) / expected[first].sum(0).max()
            distance = float(detectability[lens, label])
            image = observed[here].numpy()
            row.append(_panel(scene, parameters, here, image, shown, distance))
        panels.append(row)
    return Shown(panels, detectability)


def show_telescopes(*, seed: int) -> list[tuple[str, str, list[Panel]]]:
    """Render one lens, without and with subhalos, as each telescope sees it.

    Parameters
    ----------
    seed : int
        Of the lens.

    Returns
    -------
    list of (name, description, panels)
        The panels of each telescope: without and with subhalos.
    """
    base = load_scene(_TELESCOPE_SCENE, _TELESCOPE_CHANGES).with_classes(["no_sub", "cdm"])
    keys = base.model_dump(mode="json", exclude={"folder", "point_spread_factor"})
    columns = []
    for name in list_instruments():
        instrument = load_instrument(name)
        changes: dict[str, Any] = {
            "instrument": name,
            "num_pixels": max(8, round(FIELD / instrument.pixel_scale)),
            "supersampling": max(1, round(instrument.pixel_scale / 0.05)),
            "noise": {"kind": "instrument"},
        }
        scene = Scene.parse({**keys, **changes}, name)
        shown = show_scene(scene, seed=seed, num_lenses=1)
        columns.append((name, instrument.description, shown.panels[0]))
    return columns


def describe(scene: Scene, shown: Shown) -> dict[str, Any]:
    """Say what a scene shows in numbers.

    Parameters
    ----------
    scene : Scene
        The scene.
    shown : Shown
        From `show_scene`.

    Returns
    -------
    dict
        ``scene`` (its identity), ``classes``, and by class ``median_detectability``,
        ``median_peak`` (largest pixel of the difference, in units of the noise) and
        ``num_lenses``; None where there is no noise.
    """
    by_class = {}
    for label, name in enumerate(scene.class_names):
        peaks = [float(np.abs(row[label].difference).max()) for row in shown.panels]
        noisy = shown.panels[0][label].in_noise
        by_class[name] = {
            "median_detectability": float(np.median(shown.detectability[:, label]))
            if noisy
            else None,
            "median_peak": float(np.median(peaks)) if noisy else None,
        }
    return {"scene": scene.identity, "num_lenses": len(shown.panels), "classes": by_class}


def _drawable(scenes: Sequence[str], seed: int) -> tuple[list[Scene], list[str]]:
    """Draw a lens of each before any is rendered, since galaxies may be missing."""
    loaded, left_out = [], []
    for name in scenes or list_scenes():
        scene = load_scene(name)
        try:
            scene.draw(seed, 0, 1)
        except ConfigurationError:
            if scenes:
                raise
            left_out.append(scene.name)
        else:
            loaded.append(scene)
    return loaded, left_out


def _panel(
    scene: Scene,
    parameters: LensParameters,
    index: int,
    image: NDArray[np.float64],
    difference: torch.Tensor,
    distance: float,
) -> Panel:
    columns = {name: float(values[index]) for name, values in parameters.columns.items()}
    masses = []
    for table in parameters.masses.values():
        bound = table.get("bound_mass", table["mass"])[index]
        present = bound > 0
        x = table["x"][index][present] + columns["lens.centre_x"]
        y = table["y"][index][present] + columns["lens.centre_y"]
        masses.append(np.stack([bound[present], x, y], axis=1))
    factor = columns.get("deflection_factor", 1.0)
    return Panel(
        image=image,
        difference=difference.numpy(),
        in_noise=bool(np.isfinite(distance)),
        distance=distance,
        pixel_scale=scene.instrument.pixel_scale,
        einstein_radius=columns["lens.einstein_radius"] * factor,
        centre=(columns["lens.centre_x"], columns["lens.centre_y"]),
        redshifts=(columns["z_lens"], columns["z_source"]),
        masses=np.concatenate(masses) if masses else np.zeros((0, 3)),
    )


def _page(
    pictures: list[tuple[str, str, bytes]], facts: dict[str, Any], left_out: list[str]
) -> str:
    """A page in one file: pictures inside, no script, nothing fetched."""
    parts = []
    for name, caption, picture in pictures:
        source = "data:image/png;base64," + base64.b64encode(picture).decode()
        rows = "".join(
            f"<tr><td>{html.escape(label)}</td><td>{one['median_detectability']:.1f}</td>"
            f"<td>{one['median_peak']:.1f}</td></tr>"
            for label, one in facts.get(name, {}).get("classes", {}).items()
            if one["median_detectability"]
        )
        table = f"<table><tr><th>class</th><th>median d</th><th>median peak</th></tr>{rows}</table>"
        parts.append(
            f'<section id="{html.escape(name)}"><h2>{html.escape(name)}</h2>'
            f"<p>{html.escape(caption)}</p>"
            f'<img alt="{html.escape(caption)}" src="{source}">{table if rows else ""}</section>'
        )
    links = " · ".join(f'<a href="#{html.escape(n)}">{html.escape(n)}</a>' for n, _, _ in pictures)
    if left_out:
        links += f"</p><p>Not drawn, for want of source galaxies: {', '.join(left_out)}"
    return _PAGE.format(links=links, sections="\n".join(parts))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>darkarcs gallery</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  background: #fff; color: #1a1a1a }}
img {{ max-width: 100%; height: auto }}
h2 {{ margin-top: 3rem }}
td, th {{ padding: .1rem 1.2rem .1rem 0; text-align: left }}
</style></head><body>
<h1>Gallery</h1>
<p>{links}</p>
<p>Each column is one lens; each row of images a class, as observed. Differences are those of the
noiseless images, in units of the noise of a pixel (in per cent of the peak where a scene has no
noise). d is the root of the sum of their squares over the image: what an observer could reach who
knows lens, source and substructure. The dashed circle is the Einstein radius, small circles are
the heaviest subhalos.</p>
{sections}
</body></html>
"""
