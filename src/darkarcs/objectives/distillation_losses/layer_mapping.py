"""Which layer of a student learns from which layer of its teacher."""

from __future__ import annotations

import math
from typing import Literal

from darkarcs.errors import ConfigurationError

#: ``last`` from last; ``early``: the first two from the first two; ``all``: each from the one at
#: the same share of the depth; or pairs ``[student, teacher]``, negative from the end.
Layers = Literal["last", "early", "all"] | tuple[tuple[int, int], ...]

NUM_EARLY = 2


def map_layers(
    layers: Layers, student_depth: int, teacher_depth: int, key: str
) -> list[tuple[int, int]]:
    """Turn the configured choice into pairs of layers.

    Parameters
    ----------
    layers : {"last", "early", "all"} or tuple of (int, int)
        See `Layers`.
    student_depth, teacher_depth : int
        Numbers of layers.
    key : str
        Of the recipe, for messages.

    Returns
    -------
    list of (int, int)
        Student's and teacher's layer, from 0.

    Raises
    ------
    ConfigurationError
        If a layer does not exist, or no pair is named.

    Examples
    --------
    >>> map_layers("all", 4, 12, "layers")
    [(0, 2), (1, 5), (2, 8), (3, 11)]
    >>> map_layers(((-1, -2),), 4, 12, "layers")
    [(3, 10)]
    """
    if layers == "last":
        return [(student_depth - 1, teacher_depth - 1)]
    if layers == "early":
        return [(i, i) for i in range(min(NUM_EARLY, student_depth, teacher_depth))]
    if layers == "all":
        share = teacher_depth / student_depth
        return [(i, math.ceil((i + 1) * share - 1e-9) - 1) for i in range(student_depth)]
    if not layers:
        raise ConfigurationError(f"{key}: names no layers; give last, early, all or [[-1, -1]]")
    pairs = []
    for student, teacher in layers:
        for name, layer, depth in (
            ("student", student, student_depth),
            ("teacher", teacher, teacher_depth),
        ):
            if not -depth <= layer < depth:
                raise ConfigurationError(
                    f"{key}: the {name} has layers 0 to {depth - 1}, not {layer}"
                )
        pairs.append((student % student_depth, teacher % teacher_depth))
    return pairs
