"""Released models: which there are, their cards, and how a model becomes one."""

from darkarcs.released import ReleasedModel, list_released, read_released, resolve, verify
from darkarcs.zoo.cards import read_card, write_card
from darkarcs.zoo.releasing import release

__all__ = [
    "ReleasedModel",
    "list_released",
    "read_card",
    "read_released",
    "release",
    "resolve",
    "verify",
    "write_card",
]
