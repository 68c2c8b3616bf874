"""The settings page of the evidence log: where its checkpoints go, and how that went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from api.anchors.drafts import TargetChange, TargetDraft
from api.anchors.model import (
    Anchor,
    Authority,
    Bucket,
    Kind,
    Lock,
    Mailbox,
    State,
    Target,
    Webhook,
    Where,
)
from api.anchors.service import Anchored, MadeTarget
from api.web.views.moments import Moment, moment
from api.web.views.words import Choice, Message, choices

EVIDENCE_HREF: Final = "/settings/evidence"
KINDS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.TSA: "Time-stamping authority",
        Kind.WEBHOOK: "Webhook",
        Kind.S3: "S3 bucket",
        Kind.MAIL: "Mail",
    }
)
ABOUT: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.TSA: "An authority of RFC 3161 says when it saw a checkpoint. Its stamps go into "
        "packs, and auditors check them with its certificate.",
        Kind.WEBHOOK: "A request to a server of yours, signed by a secret (Standard Webhooks).",
        Kind.S3: "An object for each checkpoint in a bucket of yours, locked against changes if "
        "you want.",
        Kind.MAIL: "A mail with the checkpoint as a file.",
    }
)
INTERVALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "60": "Every minute",
        "600": "Every 10 minutes",
        "3600": "Every hour",
        "21600": "Every 6 hours",
        "86400": "Every day",
        "604800": "Every week",
    }
)
"""Seconds to words."""
LOCKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Lock.NONE: "No lock",
        Lock.GOVERNANCE: "Governance: some of yours may lift it",
        Lock.COMPLIANCE: "Compliance: nobody may",
    }
)
DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "added": "Added. The newest checkpoint goes there within seconds.",
        "changed": "Changed.",
        "removed": "Removed. What was handed over before stays on record.",
        "on": "Switched on.",
        "off": "Switched off.",
    }
)
_STATES: Final[Mapping[State, tuple[str, str]]] = MappingProxyType(
    {
        State.DONE: ("Done", "state-active"),
        State.PENDING: ("Waiting", "chip-warn"),
        State.FAILED: ("Given up", "chip-bad"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """One target. problem: why the last checkpoint was not taken, empty if it was.

    actions are empty for whoever may not change anything.
    """

    place: str
    kind: str
    often: str
    state_label: str
    state_chip: str
    last_done: Moment | None
    waiting: int
    problem: str
    since: Moment | None
    next_try: Moment | None
    edit_href: str
    send_action: str
    switch_action: str
    switch_to: str
    remove_action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorShown:
    """A checkpoint at a target. stamp_href: to the stamp of an authority, empty: there is none."""

    place: str
    label: str
    chip: str
    reason: str
    stamp_href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """One checkpoint."""

    number: str
    size: str
    sealed: Moment
    anchors: tuple[AnchorShown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKind:
    """What can be added."""

    label: str
    about: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSettings:
    """The page. may_read: whether the viewer may see checkpoints.

    secret: of a webhook that was just made, to be shown once; empty: none.
    """

    targets: tuple[TargetRow, ...]
    checkpoints: tuple[CheckpointRow, ...]
    kinds: tuple[NewKind, ...]
    may_read: bool
    older_href: str
    message: Message | None
    made_name: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetText:
    """What a person has put into the form of a target. new_secret: of a webhook, is wanted."""

    kind: str
    every_s: str = "3600"
    url: str = ""
    certificates: str = ""
    address: str = ""
    name: str = ""
    region: str = ""
    endpoint: str = ""
    prefix: str = ""
    access_key_id: str = ""
    secret: str = ""
    lock: str = Lock.NONE.value
    lock_days: str = ""
    new_secret: bool = False

    @classmethod
    def of(cls, target: Target) -> TargetText:
        """Return the form of a target that is there; secrets are in none."""
        text = cls(kind=target.kind.value, every_s=str(target.every_s))
        match target.where:
            case Authority(_, certificates):
                return replace(text, certificates=certificates)
            case Bucket() as bucket:
                return replace(
                    text,
                    access_key_id=bucket.access_key_id,
                    lock=bucket.lock.value,
                    lock_days=str(bucket.lock_days) if bucket.lock_days else "",
                )
        return text

    def change(self, target: Target) -> TargetChange:
        """Return what is wanted other than it is. Raises ValueError."""
        if self.every_s not in (*INTERVALS, str(target.every_s)):
            raise ValueError("choose how often checkpoints go there")
        every_s = int(self.every_s)
        match target.where:
            case Authority():
                return TargetChange(every_s=every_s, certificates=self.certificates)
            case Webhook():
                return TargetChange(every_s=every_s, new_secret=self.new_secret)
            case Bucket() as bucket:
                key = self.access_key_id.strip()
                is_other = key != bucket.access_key_id or bool(self.secret)
                return TargetChange(
                    every_s=every_s,
                    access_key_id=key if is_other else None,
                    secret=self.secret if is_other else None,
                    lock=Lock(self.lock),
                    lock_days=self._days(),
                )
        return TargetChange(every_s=every_s)

    def _days(self) -> int:
        days = self.lock_days.strip() or "0"
        if not (days.isascii() and days.isdecimal() and len(days) < 6):
            raise ValueError("lock_days: a number of days")
        return 0 if Lock(self.lock) is Lock.NONE else int(days)

    def draft(self) -> TargetDraft:
        """Return the target that is wanted. Raises ValueError."""
        kind = Kind(self.kind)
        if self.every_s not in INTERVALS:
            raise ValueError("choose how often checkpoints go there")
        return TargetDraft(
            where=self._where(kind),
            every_s=int(self.every_s),
            secret=self.secret if kind is Kind.S3 else "",
        )

    def _where(self, kind: Kind) -> Where:
        match kind:
            case Kind.TSA:
                return Authority(self.url.strip(), self.certificates)
            case Kind.WEBHOOK:
                return Webhook(self.url.strip())
            case Kind.MAIL:
                return Mailbox(self.address.strip())
            case Kind.S3:
                return Bucket(
                    name=self.name.strip(),
                    region=self.region.strip(),
                    endpoint=self.endpoint.strip(),
                    prefix=self.prefix.strip(),
                    access_key_id=self.access_key_id.strip(),
                    lock=Lock(self.lock),
                    lock_days=self._days(),
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetForm:
    """The form of a target of a kind. place: of one that is there, which never changes; empty: of
    a new one."""

    kind: Kind
    title: str
    about: str
    text: TargetText
    intervals: tuple[Choice, ...]
    locks: tuple[Choice, ...]
    message: Message | None
    action: str
    submit: str
    place: str


def evidence_settings(
    targets: Sequence[Target],
    checkpoints: Sequence[Anchored],
    *,
    may_write: bool,
    may_read: bool = True,
    next_cursor: str = "",
    message: Message | None = None,
    made: MadeTarget | None = None,
) -> EvidenceSettings:
    """Return the page. checkpoints: the newest first."""
    return EvidenceSettings(
        targets=tuple(_row(target, may_write=may_write) for target in targets),
        checkpoints=tuple(map(_checkpoint, checkpoints)),
        kinds=tuple(
            NewKind(label=label, about=ABOUT[kind], href=f"{EVIDENCE_HREF}/new?kind={kind}")
            for kind, label in KINDS.items()
            if may_write
        ),
        may_read=may_read,
        older_href=f"{EVIDENCE_HREF}?cursor={next_cursor}" if next_cursor else "",
        message=message,
        made_name=made.target.place if made else "",
        secret=made.secret if made else "",
    )


def target_form(
    text: TargetText, *, target: Target | None = None, message: Message | None = None
) -> TargetForm:
    """Return the form. target: that is to be changed. Raises ValueError for a kind that is none."""
    kind = Kind(text.kind)
    often = dict(INTERVALS)
    if target is not None:
        often.setdefault(str(target.every_s), _often(target.every_s))
    return TargetForm(
        kind=kind,
        title=KINDS[kind],
        about=ABOUT[kind],
        text=text,
        intervals=choices(often, text.every_s),
        locks=choices(LOCKS, text.lock),
        message=message,
        action=f"{EVIDENCE_HREF}/{target.id}" if target else EVIDENCE_HREF,
        submit="Change" if target else "Add",
        place=target.place if target else "",
    )


def _often(every_s: int) -> str:
    return INTERVALS.get(str(every_s), f"Every {every_s:,} s")


def _row(target: Target, *, may_write: bool) -> TargetRow:
    label, chip = _state(target)
    href = f"{EVIDENCE_HREF}/{target.id}"
    return TargetRow(
        place=target.place,
        kind=KINDS[target.kind],
        often=_often(target.every_s),
        state_label=label,
        state_chip=chip,
        last_done=moment(target.last_done_at) if target.last_done_at else None,
        waiting=target.pending,
        problem=target.last_error or "",
        since=moment(target.failing_since) if target.failing_since else None,
        next_try=moment(target.next_try_at) if target.next_try_at and target.enabled else None,
        edit_href=f"{href}/edit" if may_write else "",
        send_action=f"{href}/send" if may_write else "",
        switch_action=f"{href}/switch" if may_write else "",
        switch_to="off" if target.enabled else "on",
        remove_action=f"{href}/remove" if may_write else "",
    )


def _state(target: Target) -> tuple[str, str]:
    if not target.enabled:
        return "Off", ""
    if target.failures:
        return "Fails", "chip-bad"
    return ("Works", "state-active") if target.last_done_at else ("New", "")


def _checkpoint(anchored: Anchored) -> CheckpointRow:
    head = anchored.head
    return CheckpointRow(
        number=f"{head.number:,}",
        size=f"{head.size:,}",
        sealed=moment(head.sealed_at),
        anchors=tuple(map(_anchor, anchored.anchors)),
    )


def _anchor(anchor: Anchor) -> AnchorShown:
    label, chip = _STATES[anchor.state]
    stamped = anchor.kind is Kind.TSA and anchor.state is State.DONE
    return AnchorShown(
        place=anchor.place,
        label="Stamped" if stamped else label,
        chip=chip,
        reason=anchor.reason or "",
        stamp_href=f"/api/v1/evidence/anchors/{anchor.id}/stamp" if stamped else "",
    )
