"""Sharing out work over threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def run_in_parts(work: Callable[[int, int], None], length: int) -> None:
    """Share out a range over as many threads as torch uses.

    Within its part torch, and what is shared out once more, runs on one thread. The threads live
    for one call only, so nothing is left that a fork could break.

    Parameters
    ----------
    work : callable
        Gets first and last (exclusive) of its part; gains where it releases the interpreter
        lock, as compiled loops and operations of torch do.
    length : int
        Of the range.

    Examples
    --------
    >>> found = []
    >>> run_in_parts(lambda first, last: found.extend(range(first, last)), 5)
    >>> sorted(found)
    [0, 1, 2, 3, 4]
    """
    threads = torch.get_num_threads()
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    parts = min(threads, length)
    if parts <= 1:
        work(0, length)
        return

    def part(index: int) -> None:
        torch.set_num_threads(1)  # of this thread: OpenMP keeps one number for each
        # each thread has modes of its own, too
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            work(length * index // parts, length * (index + 1) // parts)

    try:
        with ThreadPoolExecutor(parts - 1) as pool:
            others = [pool.submit(part, index) for index in range(1, parts)]
            part(0)
            for other in others:
                other.result()
    finally:
        torch.set_num_threads(threads)
