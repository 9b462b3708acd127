"""A progress bar on standard error for simulations that take a while."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def show_progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while images are simulated, if standard error is a terminal.

    Parameters
    ----------
    title : str
        What is going on.
    total : int
        Images in all.

    Yields
    ------
    callable
        Takes the number of images that were just made.
    """
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, disable=not sys.stderr.isatty(), transient=True
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
