"""Suites: sets of simulated lenses that anyone can make again and measure a model on."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from darkarcs.configuration import Configuration, read_yaml
from darkarcs.errors import ConfigurationError
from darkarcs.labels import CLASSES
from darkarcs.registry import nearest
from darkarcs.simulation import SimulationRequest, parse_uri

_FOLDER = Path(__file__).parent / "suites"

#: Lenses of each set whose parameters are hashed. Each number of a lens is addressed by the seed
#: and its index, so a change of a prior shows in the first few, and they are drawn in a blink.
PREFIX = 32

#: What a set's and a model's name may hold: they become names of files.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Axis(Configuration):
    """What changes from set to set along a line.

    Attributes
    ----------
    label : str
        Of the axis, with its unit.
    scale : {"linear", "log"}
        How it is drawn.
    """

    label: str
    scale: Literal["linear", "log"] = "linear"


class SuiteSet(Configuration):
    """A set of test images.

    Attributes
    ----------
    uri : str
        ``scene:NAME?seed=...&num=...&part=test``; ``num`` is a multiple of the number of classes.
    parameters : str
        `parameters_hash` of the set: what tells that the scene still draws the same lenses.
    title : str
        For people.
    line : str
        Sets of one line are joined in the figure.
    at : float, optional
        Where on the suite's axis.
    reference : str, optional
        The set that this one is a change of, which stands before it; differences to it are
        tested lens by lens.
    is_null : bool
        No substructure acts in this set (``null=smooth``): any AUC above one half is a shortcut.
    needs : str
        What must be there that the package does not bring; without it the set is left out.
    """

    uri: str
    parameters: str = ""
    title: str
    line: str = ""
    at: float | None = None
    reference: str | None = None
    is_null: bool = False
    needs: str = ""

    @property
    def request(self) -> SimulationRequest:
        """What is to be simulated.

        Returns
        -------
        SimulationRequest
            Parsed from the URI.
        """
        return parse_uri(self.uri)


class Suite(Configuration):
    """Sets of test images that ask one question.

    Attributes
    ----------
    schema_version : 1
        Of these keys.
    name : str
        Of the suite.
    version : int
        A change of a set asks for a new one; entries of two versions are not compared.
    question : str
        What the suite asks, in one line.
    axis : Axis, optional
        What changes along the lines.
    sets : dict of str to SuiteSet
        In the order of the table.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME)
    version: int = Field(ge=1)
    question: str
    axis: Axis | None = None
    sets: dict[str, SuiteSet] = Field(min_length=1)

    @field_validator("sets")
    @classmethod
    def _names(cls, value: dict[str, SuiteSet]) -> dict[str, SuiteSet]:
        before: set[str] = set()
        for name, one in value.items():
            if not re.match(NAME, name):
                raise ValueError(f"set '{name}': use letters, digits, '.', '_' and '-'")
            if one.reference is not None and one.reference not in before:
                raise ValueError(f"set '{name}': no set '{one.reference}' stands before it")
            before.add(name)
        return value

    @model_validator(mode="after")
    def _places(self) -> Self:
        for name, one in self.sets.items():
            if one.at is not None and self.axis is None:
                raise ValueError(f"set '{name}' has a place ('at') but the suite has no axis")
        return self

    @property
    def content_hash(self) -> str:
        """Hash of what is measured: names, URIs and parameters of all sets, not the words.

        Returns
        -------
        str
            Sixteen hexadecimal digits.
        """
        sets = [(name, one.uri, one.parameters) for name, one in self.sets.items()]
        text = json.dumps([self.name, self.version, sets])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def list_suites() -> list[str]:
    """List the suites that come with the package.

    Returns
    -------
    list of str
        Names for `load_suite`.

    Examples
    --------
    >>> {"deeplense", "fair"} <= set(list_suites())
    True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def suite_file(name: str | Path) -> Path:
    """Find the file of a suite.

    Parameters
    ----------
    name : str or pathlib.Path
        One of `list_suites`, or a YAML file.

    Returns
    -------
    pathlib.Path
        The file; one that is given may not be there.

    Raises
    ------
    ConfigurationError
        If there is no suite of that name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    if str(name) not in list_suites():
        hint = nearest(str(name), list_suites())
        raise ConfigurationError(f"no suite '{name}': {hint} (or give a .yaml file)")
    return _FOLDER / f"{name}.yaml"


def load_suite(name: str | Path) -> Suite:
    """Load a suite and check that each of its sets can be asked for.

    Parameters
    ----------
    name : str or pathlib.Path
        One of `list_suites`, or a YAML file.

    Returns
    -------
    Suite
        Validated.

    Raises
    ------
    ConfigurationError
        One line: which key of which set is wrong.

    Examples
    --------
    >>> load_suite("fair").sets["hst-0.1"].request.num
    2000
    """
    path = suite_file(name)
    suite = Suite.parse(read_yaml(path), str(name))
    for key, one in suite.sets.items():
        _check_set(f"{name}: set '{key}'", one)
    return suite


def _check_set(where: str, one: SuiteSet) -> None:
    try:
        request = one.request
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    names = request.scene.class_names
    if request.part != "test" or request.start or request.noiseless:
        raise ConfigurationError(f"{where}: must be of part=test, from the start, with noise")
    if "seed=" not in one.uri:
        raise ConfigurationError(f"{where}: must give a seed")
    if names[0] != CLASSES[0] or len(names) < 2:
        raise ConfigurationError(f"{where}: must hold '{CLASSES[0]}' and another class")
    if not request.num or request.num % len(names):
        raise ConfigurationError(f"{where}: num must be a multiple of {len(names)}, its classes")


def parameters_hash(request: SimulationRequest) -> str:
    """Hash the parameters of the first `PREFIX` lenses of a set.

    Parameters
    ----------
    request : SimulationRequest
        Of the set; how many images it asks for does not matter.

    Returns
    -------
    str
        `darkarcs.scenes.LensParameters.content_hash`, which rounds numbers to nine digits: the
        last bits of a mathematical library do not matter. It covers the scene's own hash, so
        what changes the noise or the instrument shows as well.

    Examples
    --------
    >>> from darkarcs.simulation import parse_uri
    >>> one, other = (parse_uri(f"scene:demo?seed={seed}&num=2") for seed in (1, 2))
    >>> parameters_hash(one) == parameters_hash(other)
    False
    """
    lenses = request.scene.draw(
        request.seed, 0, PREFIX, part=request.part, paired=request.paired, null=request.null
    )
    return lenses.content_hash()


def write_hashes(path: Path) -> dict[str, str]:
    """Write into a suite's file what its sets draw now: for its author, before it is released.

    Parameters
    ----------
    path : pathlib.Path
        The YAML file, in which each set has a line ``parameters:``, with or without a value;
        everything else in it stays as it is.

    Returns
    -------
    dict of str to str
        The hash of each set.

    Raises
    ------
    ConfigurationError
        If the file has another number of such lines than sets.
    """
    suite = load_suite(path)
    found = {name: parameters_hash(one.request) for name, one in suite.sets.items()}
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(r"\bparameters:[ ]*[\"']?([0-9a-f]{64})?[\"']?(?=[,}\s])")
    if len(pattern.findall(text)) != len(found):
        raise ConfigurationError(f"{path}: each set needs one key 'parameters:'")
    values = iter(found.values())
    path.write_text(pattern.sub(lambda _: f'parameters: "{next(values)}"', text), encoding="utf-8")
    return found
