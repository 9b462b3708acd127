"""Compiling the loops on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any, ParamSpec, TypeVar

#: Reordering, fused multiply-add and reciprocals, but NaN and infinity stay what they are.
FAST_MATH = {"reassoc", "contract", "arcp", "afn", "nsz"}

P = ParamSpec("P")
R = TypeVar("R")

#: What loops call and numba does not know yet: it takes a while to import.
_unregistered: list[Callable[..., Any]] = []
_lock = Lock()


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Let compiled loops call a function.

    Parameters
    ----------
    function : callable
        Of arrays and numbers; numba must understand it.

    Returns
    -------
    callable
        The same function.
    """
    _unregistered.append(function)
    return function


def compiled(loop: Callable[..., None], signature: str) -> Callable[..., None]:
    """Compile a loop, or load what an earlier process compiled.

    The machine code is kept where Python keeps its own (``__pycache__``) or, if that is read
    only, in the user's cache folder; without either it is compiled again in each process. It is
    made anew when the file of the loop changes, not when that of an `inlined` function does.

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
    with _lock:  # threads that share out the first call
        return _compile(loop, signature)


@cache
def _compile(loop: Callable[..., None], signature: str) -> Callable[..., None]:
    import numba
    from numba.extending import register_jitable

    while _unregistered:
        register_jitable(_unregistered.pop())
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": FAST_MATH,
        "error_model": "numpy",
        "pipeline_class": _compiler(),
    }
    try:
        return numba.njit(signature, cache=True, **options)(loop)
    except (OSError, RuntimeError):  # no folder to write to, or no space left in it
        return numba.njit(signature, **options)(loop)


@cache
def _compiler() -> type:
    """Numba's compiler, told that no two arguments share memory.

    Without it LLVM cannot vectorise a loop that looks up a table and writes.
    """
    from numba.core.compiler import CompilerBase, DefaultPassBuilder

    class NoAliasCompiler(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            self.state.flags.noalias = True
            passes = DefaultPassBuilder.define_nopython_pipeline(self.state)  # type: ignore[no-untyped-call]
            return [passes]

    return NoAliasCompiler
