"""``scene:`` URIs: every option, and one clear line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkarcs import data
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.simulation import SimulationRequest, parse_uri, simulate
from small_scenes import scene, write


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"scene:{write(tmp_path)}"


def test_every_option_arrives(uri: str) -> None:
    request = parse_uri(
        f"{uri}?seed=7&num=5&start=3&part=test&paired=1&noiseless=true&null=smooth"
        "&classes=no,vortex&classes.axion.dark_fraction=0.3&num_pixels=24&storage.scaling=peak"
    )
    expected = {"seed": 7, "num": 5, "start": 3, "part": "test", "null": "smooth"}
    assert request.model_dump(exclude={"scene"}) == expected | {"paired": True, "noiseless": True}
    assert request.scene.class_names == ("no_sub", "axion")
    assert request.scene.classes["axion"].dark_fraction == 0.3
    assert request.scene.num_pixels == 24
    assert request.scene.storage.scaling == "peak"


def test_by_default_it_is_the_scene(uri: str) -> None:
    request = parse_uri(uri)
    assert request.scene.identity == scene().identity
    assert request == SimulationRequest(scene=request.scene)
    assert parse_uri(f"{uri}?") == request
    assert request.num is None


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sed=1", ["no option 'sed'", "seed"]),
        ("num=many", ["num", "integer"]),
        ("num=0", ["num", "greater than or equal to 1"]),
        ("num=1.5", ["num"]),
        ("start=-1", ["start"]),
        ("seed=", ["seed"]),
        ("part=training", ["part", "train"]),
        ("null=none", ["null", "massless"]),
        ("paired=perhaps", ["paired"]),
        ("classes=no_sub,cmd", ["no class 'cmd'", "cdm"]),
        ("classes=", ["no class ''", "cdm"]),
        ("clases.cdm.mass_fraction=0.1", ["unknown key 'clases'", "classes"]),
        ("classes.cdm.mass_fracton=0.1", ["classes.cdm", "mass_fracton"]),
        ("classes.cdm=0.1", ["classes.cdm"]),
        ("lens.shear={uniform: [2, 1]}", ["lens.shear", "must not exceed"]),
        ("noise.kind=quiet", ["noise", "none"]),
        ("seed", ["key=value"]),
        ("seed=1&&num=2", ["key=value"]),
        ("seed=1&seed=2", ["seed", "twice"]),
        ("scene=fair-hst", ["no option 'scene'"]),
        ("folder=/tmp", ["no option 'folder'"]),
    ],
)
def test_a_wrong_option_is_one_line(uri: str, query: str, says: list[str]) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse_uri(f"{uri}?{query}")
    assert "\n" not in str(error.value)
    for text in says:
        assert text in str(error.value)


def test_numbers_are_written_as_anywhere(uri: str) -> None:
    """A plus sign is a plus sign, encoded or not."""
    for query in ("lens.mass=1e+12", "lens.mass=1e%2B12", "lens.mass=1.0e+12"):
        request = parse_uri(f"{uri}?lens.einstein_radius=null&{query}")
        assert request.scene.lens.mass == 1e12
    spaced = parse_uri(f"{uri}?lens.shear={{uniform:%20[0.0,%200.2]}}")
    assert (
        spaced.scene.lens.shear
        == parse_uri(f"{uri}?lens.shear={{uniform: [0.0, 0.2]}}").scene.lens.shear
    )


def test_unknown_scenes_have_neighbours() -> None:
    with pytest.raises(ConfigurationError, match="fair-euclid"):
        parse_uri("scene:fair-uclid?num=3")
    with pytest.raises(ConfigurationError, match="no scene ''"):
        parse_uri("scene:?num=3")


def test_names_with_blanks_are_paths(tmp_path: Path) -> None:
    folder = tmp_path / "my scenes"
    folder.mkdir()
    write(folder, "a b.yaml")
    for name in (f"{folder}/a b.yaml", f"{folder}/a b.yaml".replace(" ", "%20")):
        assert parse_uri(f"scene:{name}?num=2").scene.name == "small"


def test_a_uri_stands_wherever_a_path_does(uri: str, tmp_path: Path) -> None:
    opened = data.open(f"{uri}?seed=7&num=9&paired=1")
    assert isinstance(opened, data.LensImages)
    assert opened.class_counts() == {"no_sub": 3, "cdm": 3, "axion": 3}
    made = simulate(SimulationRequest(scene=scene(), seed=7, num=9, paired=True))
    assert np.array_equal(opened.images, made.images)
    again = data.open(data.save(opened, tmp_path / "lenses.h5"))
    assert np.array_equal(again.images, made.images)
    assert again.manifest["source"] == "scene:small?seed=7&num=9&part=train&paired=1"
    with pytest.raises(ConfigurationError, match="num"):
        data.open(uri)


def test_the_source_names_the_options_that_matter() -> None:
    one = scene()
    plain = SimulationRequest(scene=one, num=3)
    assert plain.source == "scene:small?seed=0&num=3&part=train"
    null = SimulationRequest(scene=one, num=3, null="massless", noiseless=True, start=2)
    assert null.source.endswith("&start=2&noiseless=1&null=massless")


def test_a_reference_may_be_longer_than_a_file_name(uri: str) -> None:
    long = f"{uri}?seed=1&num=2&classes=no,vortex&classes.axion.dark_fraction=0.3" + 250 * "0"
    assert len(long) > 255
    assert len(data.open(long)) == 2
    with pytest.raises(DataError, match="there is no such file or folder"):
        data.open(300 * "a")
