"""Uniform numbers by address: variable, lens; whatever else is drawn, and however it is cut.

The numbers of `BLOCK` neighbouring lenses come from one stream, addressed by the scene, the seed,
the variable's name and the block. Lens i therefore gets the same numbers whether it is drawn alone
or among a million, and a variable gets the same whatever other variables a scene has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkarcs.seeding import numpy_generator

#: Lenses whose numbers come from one stream.
BLOCK = 64


@dataclass(frozen=True)
class Streams:
    """The random streams of one scene, seed and part.

    Attributes
    ----------
    seed : int
        Root seed.
    address : tuple of str
        Scene, version and part ("train", "validation", "test").
    """

    seed: int
    address: tuple[str, ...]

    def uniform(self, name: str, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give each lens its uniform number of a variable.

        Parameters
        ----------
        name : str
            The variable.
        indices : ndarray of int64, shape (B,)
            Which lenses.

        Returns
        -------
        ndarray of float64, shape (B,)
            Between 0 and 1.

        Examples
        --------
        >>> streams = Streams(7, ("example",))
        >>> some = streams.uniform("shear", np.array([3, 200]))
        >>> bool(some[1] == streams.uniform("shear", np.array([200]))[0])
        True
        """
        numbers = np.empty(len(indices))
        blocks = indices // BLOCK
        for block in np.unique(blocks):
            drawn = self.generator(name, int(block)).random(BLOCK)
            here = blocks == block
            numbers[here] = drawn[indices[here] % BLOCK]
        return numbers

    def generator(self, name: str, index: int) -> np.random.Generator:
        """Make the generator of one lens, or of one block.

        Parameters
        ----------
        name : str
            What is drawn.
        index : int
            Which lens or block.

        Returns
        -------
        numpy.random.Generator
            Its own stream.
        """
        return numpy_generator(self.seed, *self.address, name, index)
