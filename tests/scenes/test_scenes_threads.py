"""Rendering on several threads: the same images, in any mode, and none of torch's own threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from darkarcs.scenes import scene as scene_module
from small_scenes import scene


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("count", [1, 2, 3, 11])
@pytest.mark.usefixtures("two_threads")
def test_the_images_are_the_same(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small = scene()
    monkeypatch.setattr(scene_module, "_SAMPLES_AT_ONCE", 3 * small.grid.num_samples**2)
    lenses = small.draw(seed=1, start=0, count=count)
    two = small.render(lenses)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert torch.equal(small.render(lenses), two)
    each = [small.render(lenses.select(slice(i, i + 1))) for i in range(count)]
    assert torch.equal(torch.cat(each), two)


@pytest.mark.usefixtures("two_threads")
def test_in_inference_mode() -> None:
    small = scene()
    lenses = small.draw(seed=1, start=0, count=5)
    expected = small.render(lenses)
    with torch.inference_mode():
        assert torch.equal(small.render(lenses), expected)


def test_float32_kernels_and_float64_torch_agree() -> None:
    """To what is asked of noiseless images: 1e-5 of their peak."""
    small = scene()
    lenses = small.draw(seed=2, start=0, count=12)
    single, double = (small.render(lenses, dtype=t) for t in (torch.float32, torch.float64))
    peak = double.amax((1, 2, 3), keepdim=True)
    assert ((single - double).abs() <= 1e-5 * peak).all()
