"""The endless stream: the same lenses as a set, in the same order, resumable by index."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from darkarcs.errors import ConfigurationError
from darkarcs.scenes import BLOCK
from darkarcs.simulation import EndlessLenses, SimulationRequest, simulate
from small_scenes import scene

SMALL = scene(classes={"no_sub": {"kind": "none"}, "cdm": {"kind": "published_point_masses"}})
BATCH = 24  # no divisor of the block, so that batches share blocks


def request(**options: Any) -> SimulationRequest:
    return SimulationRequest(scene=SMALL, seed=3, **options)


WHOLE = simulate(request(num=6 * BATCH))


def taken(lenses: Any, num: int) -> tuple[np.ndarray, np.ndarray]:
    batches = list(islice(lenses, num))
    images, labels = zip(*batches, strict=True)
    return torch.cat(images).numpy(), torch.cat(labels).numpy()


def test_the_stream_is_the_set() -> None:
    images, labels = taken(EndlessLenses(request(), BATCH), 6)
    assert np.array_equal(images, WHOLE.images)
    assert np.array_equal(labels, WHOLE.labels)


@pytest.mark.parametrize("start", [1, BLOCK, 77])
def test_a_stream_may_start_anywhere(start: int) -> None:
    images, labels = taken(EndlessLenses(request(start=start), 10), 4)
    assert np.array_equal(images, WHOLE.images[start : start + 40])
    assert np.array_equal(labels, WHOLE.labels[start : start + 40])


@pytest.mark.parametrize("batch_size", [1, BLOCK, 100])
def test_batches_may_be_of_any_size(batch_size: int) -> None:
    images, _ = taken(EndlessLenses(request(), batch_size), 1)
    assert np.array_equal(images, WHOLE.images[:batch_size])


def test_it_goes_on_where_another_stopped() -> None:
    first = EndlessLenses(request(), BATCH)
    taken(first, 2)
    assert first.state_dict() == {"position": 2}
    second = EndlessLenses(request(), BATCH)
    second.load_state_dict(first.state_dict())
    images, _ = taken(second, 2)
    assert np.array_equal(images, WHOLE.images[2 * BATCH : 4 * BATCH])
    images, _ = taken(first, 1)  # a second pass over one stream goes on as well
    assert np.array_equal(images, WHOLE.images[2 * BATCH : 3 * BATCH])


def test_batches_can_be_asked_for_in_any_order() -> None:
    lenses = EndlessLenses(request(), BATCH)
    for index in (4, 0, 5, 4):
        images, labels = lenses.batch(index)
        assert np.array_equal(images, WHOLE.images[index * BATCH : (index + 1) * BATCH])
        assert np.array_equal(labels, WHOLE.labels[index * BATCH : (index + 1) * BATCH])


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_workers_keep_the_order(num_workers: int) -> None:
    lenses = EndlessLenses(request(), BATCH)
    lenses.load_state_dict({"position": 1})
    images, labels = taken(DataLoader(lenses, batch_size=None, num_workers=num_workers), 5)
    assert np.array_equal(images, WHOLE.images[BATCH:])
    assert np.array_equal(labels, WHOLE.labels[BATCH:])


def test_workers_that_live_on_never_repeat_a_lens() -> None:
    """Each pass over a loader with lasting workers goes on after what they have made."""
    loader = DataLoader(
        EndlessLenses(request(), 8), batch_size=None, num_workers=2, persistent_workers=True
    )
    passes = [taken(loader, 4)[0] for _ in range(2)]
    together = np.concatenate(passes).reshape(64, -1)
    assert len(np.unique(together, axis=0)) == 64
    whole = {image.tobytes() for image in simulate(request(num=128)).images}
    assert all(image.tobytes() in whole for image in np.concatenate(passes))


def test_parts_share_no_lens() -> None:
    images = [taken(EndlessLenses(request(part=part), 8), 1)[0] for part in ("train", "test")]
    assert not (images[0] == images[1]).all(axis=(1, 2, 3)).any()


def test_a_batch_holds_something() -> None:
    with pytest.raises(ConfigurationError, match="batch_size"):
        EndlessLenses(request(), 0)
