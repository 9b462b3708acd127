"""Elementary functions of the compiled loops, over all that they take, beside float64."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from darkarcs.kernels import compilation, compiled
from darkarcs.kernels.elementary import arctan_of_ratio, exp, log

EPSILON = float(np.finfo(np.float32).eps)
LINES = "void(float32[::1], float32[::1])"


def _all_logs(x: NDArray[np.float32], result: NDArray[np.float32]) -> None:
    for i in range(len(x)):
        result[i] = log(x[i])


def _all_exps(x: NDArray[np.float32], result: NDArray[np.float32]) -> None:
    for i in range(len(x)):
        result[i] = exp(x[i])


def _all_arctans(
    above: NDArray[np.float32], below: NDArray[np.float32], result: NDArray[np.float32]
) -> None:
    for i in range(len(above)):
        result[i] = arctan_of_ratio(above[i], below[i])


def run(loop: Callable[..., None], *arguments: NDArray[np.float32]) -> NDArray[np.float64]:
    signature = f"void({', '.join(['float32[::1]'] * (len(arguments) + 1))})"
    result = np.empty_like(arguments[0])
    compiled(loop, signature)(*arguments, result)
    return result.astype(np.float64)


def test_logarithm() -> None:
    tiny, huge = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    far = np.geomspace(tiny, huge, 200_001)
    near = np.linspace(0.4, 2.5, 200_001)
    x = np.concatenate([far, near]).clip(tiny, huge).astype(np.float32)
    exact = np.log(x.astype(np.float64))
    assert (abs(run(_all_logs, x) - exact) <= EPSILON * np.maximum(1, abs(exact))).all()


def test_exponential() -> None:
    x = np.linspace(-87, 88, 400_001).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    # the last place of the argument alone is 88 * 6e-8
    assert (abs(run(_all_exps, x) / exact - 1) <= 4 * EPSILON * np.maximum(1, abs(x) / 8)).all()
    beyond = np.array([-1e30, -np.inf, -88], dtype=np.float32)
    assert (run(_all_exps, beyond) < 2e-38).all()
    assert run(_all_exps, np.array([1e30], dtype=np.float32)) > 1e38


def test_arctangent() -> None:
    random = np.random.default_rng(0)
    size: Any = 10 ** random.uniform(-15, 15, (2, 200_000))
    size[:, :1000] = size[::-1, 1000:2000]
    size[0, 2000:3000] = 0
    above, below = size.astype(np.float32)
    exact = np.arctan2(above.astype(np.float64), below.astype(np.float64))
    assert (abs(run(_all_arctans, above, below) - exact) <= 2 * EPSILON * exact).all()


@pytest.mark.parametrize("loop", [_all_logs, _all_exps])
def test_the_loops_are_vectorised(loop: Callable[..., None]) -> None:
    """Otherwise they are several times slower."""
    compiled(loop, LINES)  # makes the functions known to numba
    options: Any = {"fastmath": compilation.FAST_MATH, "pipeline_class": compilation._compiler()}
    # compiled once more: what came from the cache cannot be looked at
    function: Any = numba.njit(LINES, error_model="numpy", **options)(loop)
    code = "\n".join(function.inspect_llvm().values())
    # from 4 floats with SSE or NEON to 16 with AVX-512
    assert re.search(r"fmul [a-z ]*<(4|8|16) x float>", code)
