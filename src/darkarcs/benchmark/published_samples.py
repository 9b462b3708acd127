"""Published single images, and where they lie among simulated ones of their class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs import data
from darkarcs.benchmark.image_statistics import image_statistics, place_among
from darkarcs.errors import DataError
from darkarcs.scenes import Scene, load_scene
from darkarcs.seeding import torch_generator

Floats = NDArray[np.float64]

#: A sample belongs to a scene if at least this share of its images lie as far out.
LEAST_P = 0.01
_CHUNK = 50
_RUNS = "data/deeplense_samples/deeplensesim"
_TEST1 = "data/deeplense_samples/test1"


@dataclass(frozen=True)
class Group:
    """Published images that one class of one scene is compared with.

    Parameters
    ----------
    name : str
        For reports.
    scene, class_name : str
        Which.
    files : str
        Pattern below the shared folder.
    overrides : tuple of str
        Of the scene: settings of another run, found by trying.
    expected : bool
        Whether the scene, so changed, claims to reproduce them.
    """

    name: str
    scene: str
    class_name: str
    files: str
    overrides: tuple[str, ...] = ()
    expected: bool = True


def _group(name: str, number: str, kind: str, files: str, *overrides: str) -> Group:
    return Group(name, f"deeplense-{number}", kind, files, overrides)


def _unlike(name: str, number: str, kind: str, files: str) -> Group:
    return Group(name, f"deeplense-{number}", kind, files, expected=False)


_HEAVY = "lens.mass=1.0e+13"

#: All of them. Not all runs of the public code (`_RUNS`) used the masses that its scripts name:
#: other masses were tried, and the ones found are the overrides.
GROUPS = (
    _group("Model I no_sub", "1", "no_sub", f"{_RUNS}/Model_I_no_sub_[!e]*.npy"),
    _group("Model II cdm", "2", "cdm", f"{_RUNS}/Model_II_cdm_*.npy"),
    _group("I no_sub, small", "1", "no_sub", f"{_RUNS}/Model_I_no_sub_e*.npy", "lens.mass=3.0e+10"),
    _group("I cdm, large", "1", "cdm", f"{_RUNS}/Model_I_cdm_8*.npy", _HEAVY),
    _group("II no_sub, large", "2", "no_sub", f"{_RUNS}/Model_II_no_sub_*.npy", _HEAVY),
    _group("III cdm, large", "3", "cdm", f"{_RUNS}/Model_III_cdm_*.npy", _HEAVY),
    _group(
        *("II axion, heavy rod", "2", "axion", f"{_RUNS}/Model_II_axion_*.npy"),
        "classes.axion.total_mass=1.0e+12",
    ),
    _unlike("I no_sub, small", "1", "no_sub", f"{_RUNS}/Model_I_no_sub_e*.npy"),
    _unlike("I cdm, large", "1", "cdm", f"{_RUNS}/Model_I_cdm_8*.npy"),
    _unlike("I cdm, wide", "1", "cdm", f"{_RUNS}/Model_I_cdm_2*.npy"),
    _unlike("II no_sub, large", "2", "no_sub", f"{_RUNS}/Model_II_no_sub_*.npy"),
    _unlike("II axion", "2", "axion", f"{_RUNS}/Model_II_axion_*.npy"),
    _unlike("III cdm, large", "3", "cdm", f"{_RUNS}/Model_III_cdm_*.npy"),
    _unlike("III axion", "3", "axion", f"{_RUNS}/Model_III_axion_*.npy"),
    _unlike("Model IV cdm", "4", "cdm", f"{_RUNS}/Model_IV_cdm_*.npy"),
    _unlike("Model IV no_sub", "4", "no_sub", f"{_RUNS}/Model_IV_no_sub_*.npy"),
    _group("common test no_sub", "test1", "no_sub", f"{_TEST1}/no_substructure/*.npy"),
    _group("common test cdm", "test1", "cdm", f"{_TEST1}/subhalo/*.npy"),
    _group("common test axion", "test1", "axion", f"{_TEST1}/vortex/*.npy"),
)


@dataclass(frozen=True, eq=False)
class Picture:
    """What the figure shows of one group.

    Parameters
    ----------
    name : str
        Of the group.
    samples, simulated : ndarray, shape (N, H, W)
        Published and simulated images.
    """

    name: str
    samples: Floats
    simulated: Floats


def simulated(scene: Scene, class_name: str, count: int, seed: int) -> Floats:
    """Simulate images of one class as the scene stores them.

    Parameters
    ----------
    scene : Scene
        Of which.
    class_name : str
        Of its classes.
    count : int
        How many.
    seed : int
        Of the draws.

    Returns
    -------
    ndarray, shape (N, H, W)
        The channels' mean.
    """
    alone = scene.with_classes([class_name])
    parts = []
    for start in range(0, count, _CHUNK):
        lenses = alone.draw(seed, start, min(_CHUNK, count - start))
        generator = torch_generator(seed, "fidelity", class_name, start)
        parts.append(alone.observe(alone.render(lenses), lenses, generator).mean(dim=1).numpy())
    return np.concatenate(parts).astype(np.float64)


def place_samples(
    group: Group, shared: Path, count: int, seed: int
) -> tuple[dict[str, Any], Picture]:
    """Place each image of a group among simulated ones.

    Parameters
    ----------
    group : Group
        Which.
    shared : pathlib.Path
        Folder of the real data.
    count : int
        Simulated images.
    seed : int
        Of the draws.

    Returns
    -------
    report : dict
        ``group``, ``scene``, ``overrides``, ``expected``, ``inside`` (how many samples have a p
        of at least `LEAST_P`), ``samples`` (each with ``file``, ``p``, the statistics outside of
        the central 99 % and the simulated shares below them).
    picture : Picture
        For the figure.

    Raises
    ------
    DataError
        If there are no such files.
    """
    files = sorted(shared.glob(group.files))
    if not files:
        raise DataError(f"{shared}: no {group.files}")
    opened = [data.open(path, labelled=False).images for path in files]
    samples = np.concatenate(opened).mean(axis=1, dtype=np.float64)
    overrides = list(group.overrides)
    if group.scene == "deeplense-4":  # its sources need not lie where the environment says
        galaxies = shared.resolve() / "data/cosmos/galsim_real_galaxies.npz"
        overrides.append(f"source.path={galaxies}")
    scene = load_scene(group.scene, overrides)
    images = simulated(scene, group.class_name, count, seed)
    among = image_statistics(images)
    rows = []
    for path, values in zip(files, image_statistics(samples).values, strict=True):
        place = place_among(values, among.values)
        outside = {
            name: share
            for name, share in zip(among.names, place["percentiles"], strict=True)
            if not 0.005 <= share <= 0.995
        }
        rows.append({"file": path.name[:24], "p": place["p"], "outside": outside})
    report = {
        "group": group.name,
        "scene": group.scene,
        "class": group.class_name,
        "overrides": list(group.overrides),
        "expected": group.expected,
        "inside": sum(row["p"] >= LEAST_P for row in rows),
        "count": len(rows),
        "samples": rows,
    }
    return report, Picture(group.name, samples, images[:100])
