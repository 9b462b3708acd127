"""The kinds of substructure that a scene's ``classes`` may name."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from darkarcs.configuration import Configuration
from darkarcs.scenes.hosts import Drawn, Host
from darkarcs.scenes.physical_kinds import Granules, Subhalos
from darkarcs.scenes.published_kinds import PublishedCold, PublishedString
from darkarcs.scenes.single_subhalo import SingleSubhalo


class NoSubstructure(Configuration):
    """A smooth lens.

    Attributes
    ----------
    kind : "none"
        Which substructure this is.
    """

    kind: Literal["none"] = "none"

    def draw_for(self, random: np.random.Generator, host: Host) -> Drawn:
        """Draw nothing.

        Parameters
        ----------
        random : numpy.random.Generator
            Not used.
        host : Host
            Not used.

        Returns
        -------
        Drawn
            Empty.
        """
        return Drawn()


Substructure = Annotated[
    NoSubstructure | PublishedCold | PublishedString | Subhalos | SingleSubhalo | Granules,
    Field(discriminator="kind"),
]
