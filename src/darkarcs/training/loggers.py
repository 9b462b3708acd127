"""The loggers that a recipe asks for, and what is kept from the terminal."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from darkarcs.errors import ConfigurationError


def make_loggers(names: Sequence[str], out: Path) -> list[Logger]:
    """Make Lightning's loggers.

    Parameters
    ----------
    names : sequence of {"tensorboard", "wandb"}
        Which.
    out : pathlib.Path
        The run's folder.

    Returns
    -------
    list of pytorch_lightning.loggers.Logger
        One each.

    Raises
    ------
    ConfigurationError
        If the logger's package is not installed.
    """
    loggers: list[Logger] = []
    for name in names:
        if find_spec(name) is None:
            raise ConfigurationError(
                f"training.loggers asks for {name}, which is not installed: pip install {name}"
            )
        if name == "tensorboard":
            loggers.append(TensorBoardLogger(out, name="tensorboard", version=""))
        else:
            loggers.append(WandbLogger(save_dir=out, name=out.name))
    return loggers


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice, which is about data loaders that are not used here.

    Yields
    ------
    None
        While the block runs.
    """
    lightning = logging.getLogger("pytorch_lightning")
    utilities = logging.getLogger("lightning.pytorch")
    levels = lightning.level, utilities.level
    lightning.setLevel(logging.ERROR)
    utilities.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            warnings.filterwarnings("ignore", module="lightning_fabric")
            warnings.filterwarnings("ignore", message=".*isinstance.*LeafSpec.*")
            yield
    finally:
        lightning.setLevel(levels[0])
        utilities.setLevel(levels[1])
