"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_path() -> Path:
    """The folder of real data and weights, or a visible skip where it is absent."""
    configured = Path(os.environ.get("DARKARCS_SHARED", "../shared"))
    path = configured if configured.is_absolute() else (REPOSITORY / configured).resolve()
    if not (path / "data").is_dir():
        pytest.skip(f"DARKARCS_SHARED ({configured}) is absent")
    return path


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small tensors on two cores: threads cost more than they bring."""
    torch.set_num_threads(1)
