"""Compiling the loops on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from numba.core.compiler import CompilerBase, DefaultPassBuilder

#: Reordering, fused multiply-add and reciprocals, but NaN and infinity stay what they are.
FAST_MATH = {"reassoc", "contract", "arcp", "afn", "nsz"}


class NoAliasCompiler(CompilerBase):
    """Numba's compiler, told that no two arguments share memory.

    Without it LLVM cannot vectorise a loop that looks up a table and writes.
    """

    def define_pipelines(self) -> list[Any]:
        """Choose the passes.

        Returns
        -------
        list
            Those of ``numba.njit``.
        """
        self.state.flags.noalias = True
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)  # type: ignore[no-untyped-call]
        return [passes]


@cache
def compiled(loop: Callable[..., None], signature: str) -> Callable[..., None]:
    """Compile a loop, or load what an earlier process compiled.

    The machine code is kept where Python keeps its own (``__pycache__``) or, if that is read
    only, in the user's cache folder; without either it is compiled again in each process.

    Parameters
    ----------
    loop : callable
        A function of arrays and numbers that numba understands; its array arguments must not
        share memory.
    signature : str
        Numba's types of its arguments.

    Returns
    -------
    callable
        The compiled function, which releases the interpreter lock.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": FAST_MATH,
        "error_model": "numpy",
        "pipeline_class": NoAliasCompiler,
    }
    try:
        return numba.njit(signature, cache=True, **options)(loop)
    except (OSError, RuntimeError):  # no folder to write to, or no space left in it
        return numba.njit(signature, **options)(loop)
