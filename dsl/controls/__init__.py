"""Catalogues of controls, one YAML file a framework beside this module, and the names in them.

    control("soc2.CC6.1").title
    misnamed("soc2.CC6_1").hint          # did you mean `soc2.CC6.1`?

A catalogue says in words of our own what a control asks for, how traces can be evidence of it, and
what they cannot show. What the frameworks themselves say is not here. A control's id is
<framework>.<name>, its name as the framework writes it. Frameworks that have no catalogue are
nobody's business here: their controls are taken as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import yaml

from dsl.words import nearest

FRAMEWORKS: Final = ("soc2", "hipaa", "gdpr", "pci-dss", "iso27001", "fedramp")
"""Those with a catalogue, in the order in which they are shown."""

_OTHER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pci": "pci-dss",
        "pcidss4": "pci-dss",
        "iso": "iso27001",
        "iso270012022": "iso27001",
        "soc2typeii": "soc2",
        "hipaasecurityrule": "hipaa",
        "nist80053": "fedramp",
    }
)
"""By letters and digits alone, in lower case."""
_LABEL: Final = re.compile(r"[!-~]{1,100}")
_NOT_LETTERS: Final = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class Control:
    """One control. asks: what for; shows: how traces are evidence of it; lacks: what they are not.

    id: soc2.CC6.1; name: CC6.1, as the framework writes it.
    """

    framework: str
    name: str
    title: str
    asks: str
    shows: str
    lacks: str

    @property
    def id(self) -> str:
        """The name by which rules and records call it."""
        return f"{self.framework}.{self.name}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The controls of a framework that traces can be evidence of, in the framework's order.

    beyond: names of other controls that it has, each with why traces say nothing of it. elsewhere:
    what names look like of parts that are not described here, None where all names are known.
    """

    id: str
    title: str
    edition: str
    about: str
    controls: tuple[Control, ...]
    beyond: Mapping[str, str]
    elsewhere: re.Pattern[str] | None = None
    _named: Mapping[str, Control] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {control.name: control for control in self.controls}
        object.__setattr__(self, "_named", MappingProxyType(named))

    def control(self, name: str) -> Control | None:
        """Return a control that is described, None if there is none of the name."""
        return self._named.get(name)

    def has(self, name: str) -> bool:
        """Tell whether the framework has a control of exactly this name."""
        if name in self._named or name in self.beyond:
            return True
        return self.elsewhere is not None and self.elsewhere.fullmatch(name) is not None

    def names(self) -> Iterator[str]:
        """Yield the names that are listed."""
        yield from self._named
        yield from self.beyond


@dataclass(frozen=True, slots=True)
class Misnamed:
    """A text that names no control. instead: the id that was probably meant, or empty."""

    framework: str
    instead: str

    @property
    def hint(self) -> str:
        """The next step, for whoever wrote it."""
        if self.instead:
            return f"did you mean `{self.instead}`?"
        if self.framework:
            return f"`betrace controls list {self.framework}` shows those that there are"
        return "a control reads <framework>.<name>, such as `soc2.CC6.1`, without blanks"


@cache
def catalogues() -> tuple[Catalogue, ...]:
    """Return every catalogue."""
    return tuple(_read(framework) for framework in FRAMEWORKS)


def catalogue(framework: str) -> Catalogue | None:
    """Return the catalogue of a framework, None if there is none of the id."""
    return next((one for one in catalogues() if one.id == framework), None)


def control(control_id: str) -> Control | None:
    """Return the control with the id, None if no catalogue describes it."""
    framework, _, name = control_id.partition(".")
    found = catalogue(framework)
    return found.control(name) if found else None


def misnamed(text: str) -> Misnamed | None:
    """Tell what is wrong with a control's id; None if nothing is."""
    if not _LABEL.fullmatch(text):
        return Misnamed("", _without_blanks(text))
    framework, _, name = text.partition(".")
    found = catalogue(framework)
    if found is not None:
        return None if found.has(name) else Misnamed(framework, _meant(found, name))
    for one in catalogues():
        if one.id == meant_framework(framework):
            return Misnamed(one.id, f"{one.id}.{name}" if one.has(name) else _meant(one, name))
    # A name without its framework.
    for one in catalogues():
        if "." in text and (text in one.beyond or one.control(text)):
            return Misnamed(one.id, f"{one.id}.{text}")
    return None


def meant_framework(text: str) -> str:
    """Return the id of the framework that a text names in any spelling, or empty."""
    letters = _NOT_LETTERS.sub("", text.lower())
    by_letters = {_NOT_LETTERS.sub("", one): one for one in FRAMEWORKS}
    return by_letters.get(letters) or _OTHER_NAMES.get(letters, "")


def sort_key(control_id: str) -> tuple[int, int, str]:
    """Return by what controls are sorted: as their catalogues have them, then by id."""
    framework = control_id.partition(".")[0]
    place = FRAMEWORKS.index(framework) if framework in FRAMEWORKS else len(FRAMEWORKS)
    return place, _order().get(control_id, len(_order())), control_id


@cache
def _order() -> Mapping[str, int]:
    ids = (one.id for each in catalogues() for one in each.controls)
    return MappingProxyType({control_id: number for number, control_id in enumerate(ids)})


def _meant(of: Catalogue, name: str) -> str:
    """Return the id in the catalogue that the name was probably meant to be, or empty."""
    folded = {_folded(one): one for one in of.names()}
    found = folded.get(_folded(name)) or folded.get(_folded(f"A.{name}"))
    found = found or nearest(name, of.names())
    return f"{of.id}.{found}" if found else ""


def _without_blanks(text: str) -> str:
    """Return the id that a text with blanks was meant to be (`soc2 CC6.1`, `AC-2 (1)`)."""
    for spelled in (re.sub(r"\s+", by, text.strip()) for by in ("", ".")):
        if _LABEL.fullmatch(spelled) and control(spelled):
            return spelled
    return ""


def _folded(name: str) -> str:
    """Return a name without what people write in different ways: CC6_1, art. 17, AC-2 (1)."""
    plain = re.sub(r"^(article|art|annex|requirement|req|§)[. ]*", "", name.strip().lower())
    return re.sub(r"[\s._-]+", ".", plain).replace(".(", "(").strip(".")


def _read(framework: str) -> Catalogue:
    text = files(__name__).joinpath(f"{framework}.yaml").read_text(encoding="utf-8")
    value = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    elsewhere = value.get("elsewhere")
    return Catalogue(
        id=value["id"],
        title=value["title"],
        edition=value["edition"],
        about=value["about"],
        controls=tuple(_control(framework, one) for one in value["controls"]),
        beyond=MappingProxyType(
            {name: group["why"] for group in value["beyond"] for name in group["ids"]}
        ),
        elsewhere=re.compile(elsewhere["pattern"]) if elsewhere else None,
    )


def _control(framework: str, value: Mapping[str, Any]) -> Control:
    return Control(
        framework=framework,
        name=value["id"],
        title=value["title"],
        asks=value["asks"],
        shows=value["shows"],
        lacks=value["lacks"],
    )
