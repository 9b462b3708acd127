"""What a measurement of the information limit says, and how it is asked for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from darkarcs.configuration import Configuration


class LimitRequest(Configuration):
    """What to measure.

    Attributes
    ----------
    classes : tuple of str
        Each against ``no_sub``; all others of the scene by default.
    fractions : tuple of float
        Mean mass fractions to go through, for classes that have one; the scene's own by default.
        Shares, not per cent.
    noise_factors : tuple of float
        Noise in units of the scene's.
    num : int
        Lenses for the two oracles.
    num_observed : int
        Lenses for the unknown-substructure observer; 0 leaves it out.
    num_training, num_test : int
        Draws of substructure around each of them: half of the first choose the axes, the other
        half give the variances.
    num_refitted : int
        Lenses whose smooth lens is fitted by brute force; 0 leaves the check out.
    seed : int
        Of lenses, noise and resampling.
    part : {"train", "validation", "test"}
        Which stream of lenses.
    """

    classes: tuple[str, ...] = ()
    fractions: tuple[float, ...] = ()
    noise_factors: tuple[float, ...] = Field((1.0,), min_length=1)
    num: int = Field(1000, ge=2)
    num_observed: int = Field(30, ge=0)
    num_training: int = Field(300, ge=8)
    num_test: int = Field(100, ge=4)
    num_refitted: int = Field(10, ge=0)
    seed: int = 0
    part: Literal["train", "validation", "test"] = "test"

    @field_validator("fractions")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < fraction < 1 for fraction in value):
            raise ValueError("fractions are shares above 0 and below 1: write 0.02 for 2 %")
        return value


class AreaRecord(Configuration):
    """An AUC.

    Attributes
    ----------
    value : float
        The AUC.
    interval : tuple of float
        95 %, from resampled lenses.
    """

    value: float
    interval: tuple[float, float]


class Figure(Configuration):
    """One of the three figures of an information limit.

    Attributes
    ----------
    paired : AreaRecord
        Two images of one lens, noise apart.
    pooled : AreaRecord
        Images of different lenses: what the AUC of a classifier is compared with.
    """

    paired: AreaRecord
    pooled: AreaRecord


class Bin(Configuration):
    """Lenses that are alike in one column.

    Attributes
    ----------
    column : str
        Of the parameters.
    low, high : float
        Its range.
    num : int
        Lenses.
    d, d_perp : float
        Medians.
    oracle, marginalized : float
        Paired AUC.
    """

    column: str
    low: float
    high: float
    num: int
    d: float
    d_perp: float
    oracle: float
    marginalized: float


class RefitCheck(Configuration):
    """How well the linear approximation did beside a brute-force fit.

    Attributes
    ----------
    num : int
        Fits.
    converged : int
        Those that came to rest.
    ratio : tuple of float
        Quantiles 0, 0.25, 0.5, 0.75 and 1 of what the fit leaves over d_perp.
    paired_linear, paired_fitted : float
        Paired AUC of these lenses by d_perp, and by what the fits leave.
    """

    num: int
    converged: int
    ratio: tuple[float, float, float, float, float]
    paired_linear: float
    paired_fitted: float


class LimitRow(Configuration):
    """Limits of one class at one mass fraction and one noise.

    Attributes
    ----------
    class_name : str
        Against ``no_sub``.
    fraction : float, optional
        Mean mass fraction, where it was set.
    noise_factor : float
        Noise in units of the scene's.
    num : int
        Lenses of the two oracles.
    d, d_perp, d_prior : tuple of float
        Quantiles 0.05, 0.25, 0.5, 0.75 and 0.95 over lenses.
    oracle : Figure
        All known but the class.
    marginalized : Figure
        Substructure known, smooth lens, source and blur not.
    with_prior : Figure
        The same, where the scene's prior of them is known.
    observer : Figure, optional
        Substructure unknown, smooth lens known up to its tangent space.
    num_observed : int
        Lenses of the observer.
    observer_command : str
        By what, where more lenses were observed after the limits had been measured.
    refit : RefitCheck, optional
        The check of the linear approximation.
    bins : tuple of Bin
        By quarters of what varies in the substructure.
    """

    class_name: str
    fraction: float | None
    noise_factor: float
    num: int
    d: tuple[float, ...]
    d_perp: tuple[float, ...]
    d_prior: tuple[float, ...]
    oracle: Figure
    marginalized: Figure
    with_prior: Figure
    observer: Figure | None = None
    num_observed: int = 0
    observer_command: str = ""
    refit: RefitCheck | None = None
    bins: tuple[Bin, ...] = ()


class ModelPoint(Configuration):
    """Where a model stands on the same lenses.

    Attributes
    ----------
    model : str
        What it is called.
    model_hash : str
        Of its weights.
    class_name : str
        Against ``no_sub``.
    fraction : float, optional
        Mean mass fraction, where it was set.
    num : int
        Images.
    pooled : AreaRecord
        Its AUC.
    paired : float
        Share of lenses whose image with substructure got the higher score; ties are a half.
    converged : bool, optional
        Whether its training had levelled off; None where nobody said, or nothing was trained.
    command, version, commit : str
        By what the model was placed, which may be long after the limits were measured; empty in
        files that were written before this was kept.
    date : str
        When, in UTC.
    """

    model: str
    model_hash: str
    class_name: str
    fraction: float | None
    num: int
    pooled: AreaRecord
    paired: float
    converged: bool | None = None
    command: str = ""
    version: str = ""
    commit: str | None = None
    date: str = ""


class LimitResult(Configuration):
    """A measured information limit.

    Attributes
    ----------
    schema_version : 1
        Of these keys.
    scene : str
        Name, version and hash.
    overrides : tuple of str
        Keys of the scene that were changed.
    request : LimitRequest
        What was asked for.
    nuisances : dict of str to float
        Marginalized parameters and their standard deviations in the prior.
    peak_signal_to_noise : tuple of float
        Of the brightest pixel: quantiles 0.05, 0.25, 0.5, 0.75, 0.95 over lenses.
    rows : tuple of LimitRow
        By class, fraction and noise.
    models : tuple of ModelPoint
        Models that looked at noisy images of the first of these lenses, at the scene's own noise.
    command, version, commit : str
        By what the limits were measured; each model says for itself by what it was placed.
    wall_seconds : float
        How long it took.
    machine : dict
        On what.
    """

    schema_version: Literal[1] = 1
    scene: str
    overrides: tuple[str, ...] = ()
    request: LimitRequest
    nuisances: dict[str, float]
    peak_signal_to_noise: tuple[float, ...]
    rows: tuple[LimitRow, ...]
    models: tuple[ModelPoint, ...] = ()
    command: str = ""
    version: str = ""
    commit: str | None = None
    wall_seconds: float = Field(ge=0)
    machine: dict[str, str | int] = {}
