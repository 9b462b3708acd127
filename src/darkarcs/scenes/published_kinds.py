"""The substructure of the published classes, as a scene's ``classes`` may say it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from darkarcs.scenes.hosts import Drawn, Host
from darkarcs.substructure import (
    CondensateString,
    PointMasses,
    PublishedPointMasses,
    einstein_radius_of_mass,
)


class PublishedCold(PublishedPointMasses):
    """Point masses of the published class ``cdm``, each fault a switch.

    Attributes
    ----------
    kind : "published_point_masses"
        Which substructure this is.
    """

    kind: Literal["published_point_masses"] = "published_point_masses"

    def draw_for(self, random: np.random.Generator, host: Host) -> Drawn:
        """Draw the point masses of one lens.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.
        host : Host
            The lens.

        Returns
        -------
        Drawn
            ``point_masses``.
        """
        return _point_masses(self.draw(random), host)


class PublishedString(CondensateString):
    """The rod of the published class ``axion``, each fault a switch.

    Attributes
    ----------
    kind : "condensate_string"
        Which substructure this is.
    """

    kind: Literal["condensate_string"] = "condensate_string"

    def draw_for(self, random: np.random.Generator, host: Host) -> Drawn:
        """Draw the rod of one lens.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.
        host : Host
            The lens.

        Returns
        -------
        Drawn
            ``point_masses``, and the rod's parameters.
        """
        return _point_masses(self.draw(random), host)


def _point_masses(drawn: PointMasses, host: Host) -> Drawn:
    radius = einstein_radius_of_mass(host.mass_factor * drawn.mass, host.critical_surface_density)
    table = {"mass": drawn.mass, "x": drawn.x, "y": drawn.y, "einstein_radius": radius}
    columns = {f"substructure.{name}": value for name, value in drawn.parameters.items()}
    return Drawn(masses={"point_masses": table}, columns=columns)
