"""Addressed random streams."""

from __future__ import annotations

import numpy as np
import torch

from darkarcs.seeding import derive_seed, numpy_generator, torch_generator


def test_streams_are_replayable_and_unrelated() -> None:
    first = numpy_generator(1, "order", 3).normal(size=4)
    assert np.array_equal(first, numpy_generator(1, "order", 3).normal(size=4))
    others = [numpy_generator(*a).normal(size=4) for a in ((2, "order", 3), (1, "order", 4))]
    assert not any(np.allclose(first, other) for other in others)
    assert torch.equal(
        torch.randn(4, generator=torch_generator(1, "a")),
        torch.randn(4, generator=torch_generator(1, "a")),
    )


def test_addresses_do_not_collide_across_types_or_joins() -> None:
    seeds = {
        derive_seed(0, "1"),
        derive_seed(0, 1),
        derive_seed(0, "a", "b"),
        derive_seed(0, "ab"),
        derive_seed(0),
        derive_seed(0, "a", "b", ""),
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)
