"""What every page carries: who looks at it, where they are, how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from api.web.views.moments import Moment

Theme = Literal["system", "light", "dark"]
THEMES: Final[tuple[Theme, ...]] = get_args(Theme)
_THEME_ICONS: Final = {"system": "monitor", "light": "sun", "dark": "moon"}
_PLACES: Final = (
    ("home", "Home", "/home"),
    ("signals", "Signals", "/signals"),
    ("traces", "Traces", "/traces"),
    ("rules", "Rules", "/rules"),
    ("evidence", "Evidence", "/evidence"),
)
HOME: Final = "/home"
EVIDENCE_HOME: Final = "/evidence/controls"
_SETTINGS: Final = (
    ("account", "Account", "/settings/account"),
    ("tenant", "Tenant", "/settings/tenant"),
    ("team", "Team", "/settings/team"),
    ("usage", "Usage", "/settings/usage"),
    ("retention", "Retention", "/settings/retention"),
    ("evidence", "Checkpoints", "/settings/evidence"),
    ("redaction", "Redaction", "/settings/redaction"),
    ("keys", "API keys", "/settings/keys"),
    ("data", "Data", "/settings/data"),
)


@dataclass(frozen=True, slots=True)
class OtherTenant:
    """A tenant that the person can go on in."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person signed in, and where.

    delete_after: of the tenant, None: it is kept. acting: who acts in the person's place, empty:
    nobody.
    """

    name: str
    email: str
    role: str
    tenant: str = ""
    others: tuple[OtherTenant, ...] = ()
    may_read_signals: bool = True
    may_read_traces: bool = False
    may_read_evidence: bool = False
    may_read_letters: bool = False
    may_read_rules: bool = False
    may_write_keys: bool = False
    may_read_audit: bool = False
    delete_after: Moment | None = None
    acting: str = ""

    @property
    def may_read_notices(self) -> bool:
        """Whether there are notices for them."""
        return self.may_read_rules or self.may_read_evidence

    @property
    def home(self) -> str:
        """Where the console begins for them."""
        return home_of(signals=self.may_read_signals, evidence=self.may_read_evidence)

    def sees(self, place: str) -> bool:
        """Tell whether a place of the main navigation has something for them."""
        lacks = {
            "home": not self.may_read_signals and self.may_read_evidence,
            "signals": not self.may_read_signals and self.may_read_evidence,
            "traces": not self.may_read_traces,
            "rules": not self.may_read_rules and self.may_read_evidence,
            "evidence": not self.may_read_evidence,
        }
        return not lacks[place]


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the main navigation."""

    name: str
    label: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class ThemeChoice:
    """One button of the appearance switch; pressed as ARIA wants it."""

    value: Theme
    label: str
    icon: str
    pressed: str


@dataclass(frozen=True, slots=True)
class Chrome:
    """The frame of a page. csrf_token is empty where nobody is signed in."""

    path: str
    theme: Theme
    viewer: Viewer | None
    csrf_token: str

    @property
    def nav(self) -> tuple[Place, ...]:
        """The main navigation; nothing to go to before signing in."""
        viewer = self.viewer
        if viewer is None:
            return ()
        return tuple(
            Place(
                name,
                label,
                EVIDENCE_HOME if name == "evidence" else href,
                self.path == href or self.path.startswith(f"{href}/"),
            )
            for name, label, href in _PLACES
            if viewer.sees(name)
        )

    @property
    def settings_nav(self) -> tuple[Place, ...]:
        """The navigation of the settings pages, without those that the viewer may not open."""
        return tuple(
            Place(name, label, href, self.path == href or self.path.startswith(f"{href}/"))
            for name, label, href in _SETTINGS
            if name != "keys" or (self.viewer is not None and self.viewer.may_write_keys)
        )

    @property
    def themes(self) -> tuple[ThemeChoice, ...]:
        """The appearance switch."""
        return tuple(
            ThemeChoice(
                theme, theme.capitalize(), _THEME_ICONS[theme], str(theme == self.theme).lower()
            )
            for theme in THEMES
        )


def home_of(*, signals: bool, evidence: bool) -> str:
    """Return the first page of somebody: signals, or controls where evidence is all they see."""
    return EVIDENCE_HOME if evidence and not signals else HOME


def theme_of(cookie: str | None) -> Theme:
    """Return the theme a cookie names; anything else is the system's."""
    return next((theme for theme in THEMES if theme == cookie), "system")
