"""Simulated sets: complete metadata, cuts, and regeneration from what a file holds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError
from darkarcs.scenes import BLOCK, Scene
from darkarcs.simulation import SimulationRequest, request_of, simulate, simulate_block
from small_scenes import VALUES, scene

SMALL = scene()


def request(**options: Any) -> SimulationRequest:
    return SimulationRequest.parse({"scene": SMALL, "seed": 5, "num": 70} | options, "test")


WHOLE = simulate(request(num=BLOCK + 20))


def assert_equal(one: LensImages, other: LensImages) -> None:
    assert np.array_equal(one.images, other.images)
    assert np.array_equal(one.labels, other.labels)
    assert one.class_names == other.class_names
    assert one.pixel_scale == other.pixel_scale
    assert one.metadata.keys() == other.metadata.keys()
    for name, column in one.metadata.items():
        assert np.array_equal(column, other.metadata[name]), name
    assert one.lists.keys() == other.lists.keys()
    for kind, table in one.lists.items():
        assert np.array_equal(table.offsets, other.lists[kind].offsets)
        for name, values in table.columns.items():
            assert np.array_equal(values, other.lists[kind].columns[name]), name


@pytest.mark.parametrize(("start", "num"), [(0, 1), (5, 3), (60, 8), (64, 20), (83, 1)])
def test_any_cut_holds_the_same_images(start: int, num: int) -> None:
    cut = simulate(request(start=start, num=num))
    assert_equal(cut, WHOLE.select(np.arange(start, start + num)))


def test_the_set_is_what_the_scene_draws_renders_and_observes() -> None:
    lenses = SMALL.draw(5, 0, BLOCK)
    exact = simulate(request(num=BLOCK, noiseless=True))
    assert np.array_equal(exact.images, SMALL.render(lenses).numpy())
    noise = WHOLE.images[:BLOCK] - exact.images
    variance = SMALL.noise_variance(torch.from_numpy(exact.images), lenses).numpy()
    assert (noise**2 / variance).mean() == pytest.approx(1.0, abs=0.05)
    assert noise.mean() == pytest.approx(0.0, abs=5 * float(variance.mean() / noise.size) ** 0.5)
    flat = noise.reshape(BLOCK, -1)
    correlation = np.corrcoef(flat) - np.eye(BLOCK)
    assert np.abs(correlation).max() < 0.3  # 400 pixels: 6 sigma


def test_every_parameter_is_in_the_metadata() -> None:
    lenses = SMALL.draw(5, 0, BLOCK)
    assert set(lenses.columns) | {"identity", "group", "name", "index"} == set(WHOLE.metadata)
    for name, column in lenses.columns.items():
        assert np.array_equal(WHOLE.metadata[name][:BLOCK], column)
    halos = WHOLE.lists["subhalos"]
    assert set(halos.columns) == set(lenses.masses["subhalos"])
    for i in range(BLOCK):
        mass = lenses.masses["subhalos"]["mass"][i]
        assert np.array_equal(halos[i]["mass"], mass[mass > 0])
    assert WHOLE.metadata["name"][66] == "no_sub/000000066"
    assert np.array_equal(WHOLE.label_names[:4], ["no_sub", "cdm", "axion", "no_sub"])
    assert len(np.unique(WHOLE.metadata["identity"])) == len(WHOLE)
    assert WHOLE.pixel_scale == 0.2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"part": "validation", "start": 3},
        {"paired": True},
        {"noiseless": True, "null": "massless"},
    ],
)
def test_an_image_can_be_made_again_from_its_file_alone(options: dict[str, Any]) -> None:
    made = simulate(request(num=30, **options)).select([17])
    manifest = json.loads(json.dumps(made.manifest))  # as a file keeps it
    again = request_of(manifest, index=int(made.metadata["index"][0]))
    assert again.scene.identity == manifest["scene_identity"]
    assert_equal(simulate(again), made)


def test_the_manifest_of_other_data_is_no_request() -> None:
    with pytest.raises(ConfigurationError, match="not that of a simulation"):
        request_of({"source": "lenses.tgz"})


def test_identities_tell_what_was_done_to_a_lens() -> None:
    sets = [
        simulate(request(num=2, **options))
        for options in (
            {},
            {"seed": 6},
            {"part": "test"},
            {"start": 2},
            {"paired": True},
            {"noiseless": True},
            {"null": "smooth"},
            {"scene": SMALL.with_classes(["no_sub", "axion"])},
            {"scene": scene(num_pixels=21)},
        )
    ]
    identities = np.concatenate([one.metadata["identity"] for one in sets])
    assert len(np.unique(identities)) == len(identities)
    assert len({one.content_hash for one in sets}) == len(sets)


def test_pairs_are_groups() -> None:
    pairs = simulate(request(paired=True, num=12))
    groups = pairs.metadata["group"].reshape(4, 3)
    assert (groups == groups[:, :1]).all()
    assert len(np.unique(groups)) == 4
    for name in ("lens.shear", "source.flux", "noise.exposure_factor"):
        triples = pairs.metadata[name].reshape(4, 3)
        assert (triples == triples[:, :1]).all()


def test_a_block_without_a_kind_of_substructure_joins_one_with_it() -> None:
    rare = scene(
        classes=VALUES["classes"]
        | {"cdm": {"kind": "subhalos", "mass_fraction": 1e-5, "min_mass": 9e9, "max_mass": 1e10}}
    )
    made = simulate(request(scene=rare, num=2 * BLOCK))
    assert len(made.lists.get("subhalos", [0] * len(made))) == len(made)


def test_progress_counts_every_image() -> None:
    told: list[int] = []
    simulate(request(start=60, num=70), progress=told.append)
    assert told == [4, 64, 2]


def test_without_a_number_there_is_no_set() -> None:
    with pytest.raises(ConfigurationError, match="num"):
        simulate(request(num=None))


def test_blocks_are_whole() -> None:
    block = simulate_block(request(num=1, start=999), 1)
    assert len(block.images) == BLOCK
    assert block.parameters.indices[0] == BLOCK
    assert np.array_equal(block.images[:20].numpy(), WHOLE.images[BLOCK:])


def test_a_copy_of_a_scene_has_a_hash_of_its_own() -> None:
    """Two different sets must never share identities."""
    assert SMALL.content_hash == scene().content_hash
    fewer = SMALL.with_classes(["no_sub", "cdm"])
    assert isinstance(fewer, Scene)
    assert fewer.content_hash != SMALL.content_hash
