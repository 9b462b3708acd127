"""What a prediction costs: parameters, operations, memory, latency and throughput of models."""

from __future__ import annotations

import copy
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from darkarcs.devices import choose_device, computes_bfloat16
from darkarcs.errors import ConfigurationError
from darkarcs.evaluation.provenance import command_line, describe_machine, package_version
from darkarcs.model_folder import read_model_folder
from darkarcs.seeding import torch_generator

#: Calls of one image, in all repeats together, from which p50 and p99 are read.
LATENCY_CALLS = 300
#: Shortest time, in seconds, over which one throughput is measured.
THROUGHPUT_SECONDS = 0.5

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class _Contestant:
    name: str
    precision: str
    model: nn.Module
    one: Tensor
    many: Tensor


def inference_speed(
    models: Sequence[Path],
    *,
    batch_size: int = 64,
    repeats: int = 7,
    threads: int | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> dict[str, Any]:
    """Compare what predictions of several models cost.

    Every repeat measures every model in every precision, in alternating order, so that a
    machine that is busy for a while is busy for all of them, and ratios to the first model are
    formed within a repeat. The forward pass alone is timed, one view an image, on images of the
    size that each model sees; reading and preprocessing are left out.

    Parameters
    ----------
    models : sequence of pathlib.Path
        Model folders; the first is the reference of the ratios.
    batch_size : int, default 64
        Of the throughput and the memory.
    repeats : int, default 7
        Measurements of each.
    threads : int, optional
        CPU threads; as torch has them by default.
    device : str, default "cpu"
        Where.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    dict
        ``models``: by name ``parameters``, ``flops`` of one image (a multiplication and an
        addition are two; matrix products and convolutions only), ``weights_bytes`` and, by
        precision (bfloat16 with converted weights, where the device computes it natively),
        ``latency_p50`` and ``latency_p99`` in seconds at batch 1, ``throughput`` in images/s,
        ``peak_memory_bytes`` of a batch, and ``ratios`` to the reference as median, lowest and
        highest of the repeats. ``reference``, ``batch_size``, ``threads``, ``memory`` (how it was
        measured), ``machine``.

    Raises
    ------
    ConfigurationError
        If a model is named twice, or the device is one whose memory nobody records.
    ModelError
        If a folder cannot be read.
    """
    chosen = choose_device(device)
    if chosen.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"time and memory are measured on cpu and cuda, not {device}")
    if threads is not None:
        torch.set_num_threads(threads)
    precisions = ["float32", *(["bfloat16"] if computes_bfloat16(chosen) else [])]
    rows: dict[str, dict[str, Any]] = {}
    contestants: list[_Contestant] = []
    for path in models:
        folder = read_model_folder(path, chosen)
        name = folder.description.name
        if name in rows:
            name = f"{name} ({path})"
        if name in rows:
            raise ConfigurationError(f"{path}: is named twice; a model is compared with others")
        seen = folder.description.preprocessing
        shape = seen.channels, seen.height, seen.width
        own = list(_contestants(name, folder.model, shape, batch_size, precisions, chosen))
        rows[name] = {
            "parameters": sum(p.numel() for p in folder.model.parameters()),
            "weights_bytes": sum(p.numel() * p.element_size() for p in folder.model.parameters()),
            "flops": count_flops(own[0].model, own[0].one),
            "image_size": own[0].one.shape[-1],
        }
        contestants += own
    times = _measure(contestants, repeats, chosen, progress)
    reference = next(iter(rows))
    for contestant in contestants:
        name, precision = contestant.name, contestant.precision
        rows[name][precision] = {
            **_summarize(times[name, precision], times[reference, precision]),
            "peak_memory_bytes": peak_memory(contestant.model, contestant.many),
        }
    return {
        "reference": reference,
        "models": rows,
        "batch_size": batch_size,
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "memory": "peak of what one forward pass of a batch allocates through torch, without "
        "weights, input and the scratch space of its libraries",
        "machine": describe_machine(torch.get_num_threads(), str(chosen)),
        "command": command_line(),
        "version": package_version(),
    }


def count_flops(model: nn.Module, image: Tensor) -> int:
    """Count the floating-point operations of one forward pass.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    image : torch.Tensor, shape (B, C, S, S)
        What it sees.

    Returns
    -------
    int
        Of matrix products and convolutions, a multiplication and an addition being two.

    Examples
    --------
    >>> layer = nn.Linear(10, 3)
    >>> count_flops(layer, torch.zeros(2, 10)) == 2 * 2 * 10 * 3
    True
    """
    # captured attention is written out in matrix products; some fused kernels are not counted
    capture = {"capture": ("attention",)} if getattr(model, "supports_attention", False) else {}
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image, **capture)
    return int(counter.get_total_flops())


def peak_memory(model: nn.Module, images: Tensor) -> int:
    """Measure the most memory that a forward pass holds at one time.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    images : torch.Tensor, shape (B, C, S, S)
        A batch.

    Returns
    -------
    int
        Bytes allocated through torch during the pass, weights and input not counted. On a CPU
        the allocations are recorded by torch's profiler, on CUDA by its allocator.
    """
    if images.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        _forward(model, images)
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with _without_chatter():
        record = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        with record:
            _forward(model, images)
    held = most = 0
    results: Any = record.profiler
    # allocations and releases in the order of time
    for event in sorted(results.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep what torch's profiler writes to the terminal, past Python, from the user."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _contestants(
    name: str,
    model: nn.Module,
    shape: tuple[int, int, int],
    batch_size: int,
    precisions: Sequence[str],
    device: torch.device,
) -> Iterator[_Contestant]:
    generator = torch_generator(0, "inference_speed")
    images = torch.randn(batch_size, *shape, generator=generator)
    for precision in precisions:
        dtype = PRECISIONS[precision]
        converted = copy.deepcopy(model).to(dtype).eval()
        many = images.to(device, dtype)
        yield _Contestant(name, precision, converted, many[:1].clone(), many)


def _measure(
    contestants: Sequence[_Contestant], repeats: int, device: torch.device, progress: bool
) -> dict[tuple[str, str], list[tuple[list[float], float]]]:
    """Give latencies and a throughput for each repeat."""
    for contestant in contestants:  # warms up
        _forward(contestant.model, contestant.one)
        _forward(contestant.model, contestant.many)
    calls = max(1, LATENCY_CALLS // repeats)
    times: dict[tuple[str, str], list[tuple[list[float], float]]] = {}
    shown = track(range(repeats), "Timing", console=Console(stderr=True), disable=not progress)
    for repeat in shown:
        # none always goes first, on the cooler machine
        order = contestants if repeat % 2 == 0 else tuple(reversed(contestants))
        for c in order:
            one = partial(_forward, c.model, c.one)
            latencies = [_time(one, device) for _ in range(calls)]
            measured = latencies, _throughput(c, device)
            times.setdefault((c.name, c.precision), []).append(measured)
    return times


def _throughput(contestant: _Contestant, device: torch.device) -> float:
    images, seconds = 0, 0.0
    while seconds < THROUGHPUT_SECONDS:
        seconds += _time(partial(_forward, contestant.model, contestant.many), device)
        images += len(contestant.many)
    return images / seconds


def _summarize(
    own: list[tuple[list[float], float]], reference: list[tuple[list[float], float]]
) -> dict[str, Any]:
    latencies = np.concatenate([calls for calls, _ in own])
    faster = [
        statistics.median(other) / statistics.median(calls)
        for (calls, _), (other, _) in zip(own, reference, strict=True)
    ]
    more = [images / other for (_, images), (_, other) in zip(own, reference, strict=True)]
    return {
        "latency_p50": float(np.quantile(latencies, 0.5)),
        "latency_p99": float(np.quantile(latencies, 0.99)),
        "throughput": statistics.median(images for _, images in own),
        "ratios": {
            name: {"median": statistics.median(values), "low": min(values), "high": max(values)}
            for name, values in (("speed_at_batch_1", faster), ("throughput", more))
        },
    }


def _time(call: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _forward(model: nn.Module, images: Tensor) -> object:
    with torch.inference_mode():
        return model(images)
