"""Where and by what a result was made: machine, package, commit."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def package_version(name: str = "darkarcs") -> str:
    """Version of an installed package, without importing it.

    Parameters
    ----------
    name : str, default "darkarcs"
        Its name on PyPI.

    Returns
    -------
    str
        The version, or ``"unknown"``.

    Examples
    --------
    >>> package_version("no-such-package-anywhere")
    'unknown'
    """
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def git_commit(folder: Path | None = None) -> str | None:
    """Commit of the source tree that is running.

    Parameters
    ----------
    folder : pathlib.Path, optional
        A folder of the tree; by default that of this package.

    Returns
    -------
    str or None
        The hash, with ``-dirty`` if tracked files were changed since, measurements under
        ``results`` aside; None outside a repository, without git, or where this package is not
        among the tracked files.
    """
    folder = Path(__file__).resolve().parent if folder is None else Path(folder)
    commit = _git(folder, "rev-parse", "HEAD")
    # A package installed inside somebody else's repository must not borrow that commit.
    if commit is None or not _git(folder, "ls-files", "."):
        return None
    code = (":/", ":(exclude,top)results")  # a look at a test split is counted there
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *code)
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def describe_machine(threads: int | None = None, device: str = "cpu") -> dict[str, str | int]:
    """Describe the machine, so that wall times can be read.

    Parameters
    ----------
    threads : int, optional
        How many threads were used (``torch.get_num_threads()``); by default the number of
        processors this process may run on.
    device : str, default "cpu"
        What computed: ``"cpu"`` or the name of an accelerator.

    Returns
    -------
    dict
        ``cpu``, ``threads``, ``device``, ``system``, ``python``, ``torch``, ``numpy``.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    return {
        "cpu": _cpu_model(),
        "threads": available if threads is None else threads,
        "device": device,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": package_version("torch"),
        "numpy": package_version("numpy"),
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def command_line(arguments: Sequence[str] | None = None) -> str:
    """Phrase the running command as one would type it.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of this process.

    Returns
    -------
    str
        Quoted for a shell; the program by its name, not by where it is installed.

    Examples
    --------
    >>> command_line(["/src/darkarcs/cli/main.py", "models"])
    'darkarcs models'
    >>> command_line(["/usr/bin/darkarcs", "evaluate", "my model"])
    "darkarcs evaluate 'my model'"
    """
    given = list(sys.argv if arguments is None else arguments)
    program = Path(given[0]).name if given and given[0] else "python"
    if program == "main.py":  # started as python -m darkarcs.cli.main
        program = "darkarcs"
    return shlex.join([program, *given[1:]])
