"""The gallery: what is drawn is what is said, and the page needs nothing but itself."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from darkarcs.benchmark.gallery import make_gallery, show_scene, show_telescopes
from darkarcs.benchmark.gallery_figures import stretch
from darkarcs.cli.main import app
from darkarcs.errors import ConfigurationError, OutputExistsError
from darkarcs.instrument import list_instruments
from darkarcs.scenes import list_scenes
from small_scenes import VALUES, scene, write

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_distance_is_that_of_the_noiseless_images() -> None:
    one = scene()
    shown = show_scene(one, seed=2, num_lenses=3)
    lenses = one.draw(2, 0, 9, paired=True)
    exact = one.render(lenses).double()
    variance = one.noise_variance(exact, lenses)
    for lens in range(3):
        first = 3 * lens
        assert shown.detectability[lens, 0] == 0.0
        for label in (1, 2):
            here = first + label
            mean = (variance[here] + variance[first]) / 2
            d = ((exact[here] - exact[first]) ** 2 / mean).sum().sqrt().item()
            assert shown.detectability[lens, label] == pytest.approx(d, rel=1e-4)
            panel = shown.panels[lens][label]
            assert np.sqrt((panel.difference**2).sum()) == pytest.approx(d, rel=1e-4)
    halos = lenses.masses["subhalos"]["mass"][1]
    assert len(shown.panels[0][1].masses) == (halos > 0).sum()
    assert len(shown.panels[0][0].masses) == 0


def test_counts_are_compared_in_counts() -> None:
    """The same scene with more exposure is seen better, by the root of the exposure."""
    source = {k: v for k, v in VALUES["source"].items() if k != "magnitude"} | {"amplitude": 1.0}
    found = []
    for exposure in (3.0, 4.0):
        noise = {"kind": "counting", "log10_exposure": exposure, "background": 0.1}
        found.append(
            show_scene(scene(source=source, noise=noise), seed=2, num_lenses=1).detectability[0, 1]
        )
    assert found[1] / found[0] == pytest.approx(10**0.5, rel=1e-3)


def test_without_noise_differences_are_per_cent() -> None:
    one = scene(noise={"kind": "none"})
    shown = show_scene(one, seed=2, num_lenses=1)
    exact = one.render(one.draw(2, 0, 3, paired=True))
    assert np.isnan(shown.detectability).all()
    expected = 100 * (exact[1] - exact[0])[0] / exact[0].max()
    torch.testing.assert_close(
        torch.from_numpy(shown.panels[0][1].difference), expected.double(), rtol=1e-3, atol=1e-3
    )
    assert not shown.panels[0][1].in_noise


def test_every_telescope_sees_the_same_lens() -> None:
    telescopes = show_telescopes(seed=1)
    assert [name for name, _, _ in telescopes] == list_instruments()
    lenses = {(p.einstein_radius, p.centre, p.redshifts) for _, _, (p, _) in telescopes}
    assert len(lenses) == 1
    positions = {p.masses[:3].tobytes() for _, _, (_, p) in telescopes}
    assert len(positions) == 1
    for _, _, (panel, _) in telescopes:
        assert panel.half_field == pytest.approx(2.5, abs=0.2)


def test_the_stretch_knows_sky_and_peak() -> None:
    image = np.full((1, 20, 20), 7.0)
    image[0, 8:12, 8:12] = 57.0
    light = stretch(image)
    assert light[0, 0, 0] == 0.0
    assert light[0, 9, 9] == pytest.approx(1.0)
    assert np.isfinite(stretch(np.zeros((3, 8, 8)))).all()


def test_the_command_draws_a_folder(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    colour = write(tmp_path, "colour.yaml", name="colour", channels=[{"name": n} for n in "bgr"])
    out = tmp_path / "pictures"
    command = ["gallery", str(recipe), str(colour), "--out", str(out), "--lenses", "2"]
    result = CliRunner().invoke(app, [*command, "--measured", "3", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)["scenes"]
    assert facts["small"]["num_lenses"] == 3
    assert facts["small"]["classes"]["cdm"]["median_detectability"] > 0
    names = {"small.png", "colour.png", "telescopes.png", "index.html", "gallery.json"}
    assert {path.name for path in out.iterdir()} == names
    page = (out / "index.html").read_text()
    assert len(re.findall(r'src="data:image/png;base64,', page)) == 3
    assert "http" not in page
    with Image.open(io.BytesIO((out / "small.png").read_bytes())) as picture:
        assert picture.size[1] > picture.size[0] > 400
        assert len(picture.convert("RGB").getcolors(300) or []) > 60
        assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    with pytest.raises(OutputExistsError):
        make_gallery(out, [str(recipe)])


def test_missing_galaxies_stop_only_what_was_asked_for(tmp_path: Path) -> None:
    source = {"kind": "galaxies", "path": "absent.npz", "magnitude": 22.0}
    recipe = write(tmp_path, source=source)
    with pytest.raises(ConfigurationError, match="source galaxies"):
        make_gallery(tmp_path / "out", [str(recipe)])
    assert not (tmp_path / "out").exists()


def test_the_page_of_the_documents_shows_every_scene() -> None:
    text = (REPOSITORY / "docs" / "explanation" / "gallery.md").read_text(encoding="utf-8")
    for name in (*list_scenes(), "telescopes"):
        assert f"(../figures/gallery/{name}.png)" in text
        picture = REPOSITORY / "docs" / "figures" / "gallery" / f"{name}.png"
        assert 10_000 < picture.stat().st_size < 300_000
