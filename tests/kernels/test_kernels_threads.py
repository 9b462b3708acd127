"""Work that is shared out is done once, in the caller's modes, and errors come back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from darkarcs.kernels import run_in_parts


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_every_item_once(threads: int, length: int) -> None:
    found: list[int] = []
    run_in_parts(lambda first, last: found.extend(range(first, last)), length)
    assert sorted(found) == list(range(length))
    assert torch.get_num_threads() == threads


def test_as_many_threads_as_torch_uses(threads: int) -> None:
    used: set[int] = set()
    gate = threading.Barrier(threads, timeout=20)

    def work(first: int, last: int) -> None:
        gate.wait()  # all of them at once
        used.add(threading.get_ident())
        assert torch.get_num_threads() == 1

    run_in_parts(work, threads)
    assert len(used) == threads


@pytest.mark.usefixtures("threads")
def test_the_modes_of_the_caller_hold() -> None:
    seen: list[tuple[bool, bool]] = []

    def work(first: int, last: int) -> None:
        seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))

    with torch.no_grad():
        run_in_parts(work, 6)
    assert set(seen) == {(False, False)}
    seen.clear()
    with torch.inference_mode():
        result = torch.zeros(6)

        def write(first: int, last: int) -> None:
            result[first:last] = 1

        run_in_parts(write, 6)
        run_in_parts(work, 6)
    assert result.sum() == 6
    assert set(seen) == {(False, True)}


def test_errors_come_back(threads: int) -> None:
    def fail(first: int, last: int) -> None:
        if last == 5:
            raise ValueError("the last part")

    with pytest.raises(ValueError, match="the last part"):
        run_in_parts(fail, 5)
    assert torch.get_num_threads() == threads
