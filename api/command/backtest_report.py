"""What the terminal shows of a backtest: its progress while it runs, then what differs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from api.command.backtest_seen import counted_as, duration, key_text, seen_text
from api.command.terminal import paint

_WORDS: Final = {
    "violated": "violated",
    "satisfied": "satisfied",
    "inconclusive": "inconclusive",
    "not_applicable": "not applicable",
    "open": "still open",
}
_WORDS_OF_MANY: Final = {
    "violated": "signal",
    "satisfied": "no signal",
    "inconclusive": "in doubt",
    "not_applicable": "not seen",
}
"""Of rules over many traces: what there is of a key."""
_ROLES: Final = {"violated": "bad", "satisfied": "good", "inconclusive": "doubt", "open": "doubt"}
_WIDTH: Final = max(map(len, _WORDS.values()))
_STALLED_S: Final = 10


class Watching:
    """A bar on standard error, where that is a terminal; nothing elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[said]}"),
            console=Console(stderr=True),
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task("Waiting", total=1.0, said="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, backtest: Mapping[str, Any]) -> None:
        """Show how far it is."""
        assert self._task is not None
        progress = backtest["progress"]
        self._progress.update(
            self._task,
            description=backtest["state"].capitalize(),
            completed=progress["share"],
            said=_waiting(backtest) or _pace(progress),
        )


def report(
    backtest: Mapping[str, Any], results: Sequence[Mapping[str, Any]] | None, *, examples: int
) -> str:
    """Return a finished backtest as text, rule by rule. results: None: may not be seen."""
    blocks = [_head(backtest)]
    if backtest["problem"]:
        blocks.append(paint("bad", f"It failed: {backtest['problem']}"))
    names = {rule["id"]: rule for rule in backtest["rules"]}
    for summary in backtest["summary"]:
        own = [result for result in results or () if result["rule_id"] == summary["rule_id"]]
        rule = names[summary["rule_id"]]
        blocks.append("\n".join(_rule(rule, summary, own, examples=examples)))
    if results is None and backtest["problem"] is None:
        blocks.append("The role of this key may not see single traces (signals.read).")
    return "\n\n".join(blocks)


def _head(backtest: Mapping[str, Any]) -> str:
    progress = backtest["progress"]
    lines = [
        f"{_time(backtest['from'])} to {_time(backtest['to'])}: "
        f"{_counted(progress['traces'], 'trace')}, {_counted(progress['spans'], 'span')} read "
        f"with what is around them"
    ]
    done, total = progress["partitions_done"], progress["partitions_total"]
    if done < total:
        lines.append(f"Only {done} of {total} partitions were judged: it was {backtest['state']}.")
    if backtest["open_traces"]:
        lines.append(
            f"{_counted(backtest['open_traces'], 'trace')} had not ended when the log did "
            f"({_time(backtest['log_end_at'])})."
        )
    return "\n".join(lines)


def _rule(
    rule: Mapping[str, Any],
    summary: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    *,
    examples: int,
) -> Iterator[str]:
    many = rule["kind"] != "promise"
    words = _WORDS_OF_MANY if many else _WORDS
    yield f"{paint('place', rule['id'])}  {_versions(rule)}"
    yield from _verdicts(summary, words)
    if summary["was"] is None:
        shown = [result for result in results if result["now"]["verdict"] == "violated"]
        yield from _examples(shown[:examples])
        return
    if not summary["changes"]:
        same = "The signals are the same." if many else "No trace is judged otherwise."
        yield "  " + paint("good", same)
    for change in summary["changes"]:
        title = f"{_word(words, change['was'])} → {_word(words, change['now'])}"
        noun = counted_as(change["was"], change["now"]) if many else "trace"
        yield f"  {title}: {_counted(change['traces'], noun)}"
        kind = (change["was"], change["now"])
        shown = [result for result in results if _kind(result) == kind]
        yield from _examples(_with_reasons_first(shown)[:examples])


def _versions(rule: Mapping[str, Any]) -> str:
    now = _version(rule["now"])
    return f"{now} against {_version(rule['was'])}" if rule["was"] else f"{now}, on its own"


def _version(version: Mapping[str, Any]) -> str:
    return f"version {version['version']}" if version["version"] else "the draft"


def _verdicts(summary: Mapping[str, Any], words: Mapping[str, str]) -> Iterator[str]:
    now, was = summary["now"], summary["was"]
    if was is not None:
        yield f"  {'':{_WIDTH}}  {'before':>10}  {'now':>10}"
    for verdict in words:
        before = was[verdict] if was else 0
        if not (now[verdict] or before):
            continue
        if was is None:
            yield f"  {_word(words, verdict, _WIDTH)}  {now[verdict]:>10,}"
        else:
            gap = now[verdict] - before
            yield (
                f"  {_word(words, verdict, _WIDTH)}  {before:>10,}  {now[verdict]:>10,}"
                f"  {f'{gap:+,}' if gap else '':>8}".rstrip()
            )


def _examples(results: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for result in results:
        at, seen = _time(result["begin_at"]), result["seen"]
        if seen is None:
            root = " ".join(filter(None, (result["root_service"], result["root_name"])))
            yield f"    {at}  {result['trace_id']}  {paint('code', root)}"
        else:
            yield f"    {at}  {paint('code', key_text(seen['key']))}  {seen_text(seen)}".rstrip()
        for line in _why(result):
            yield f"      {line}"


def _why(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the new version found: the broken clause, or why it cannot be said."""
    now = result["now"]
    if now["reasons"]:
        yield f"because of {', '.join(now['reasons'])}"
    told = (result["explanations"] or {}).get("now") or {}
    wanted = now["broken_clause"] or ("when" if now["verdict"] == "not_applicable" else "")
    for clause in told.get("clauses", ()):
        if clause["clause"] != wanted:
            continue
        for condition in clause["conditions"]:
            text = " ".join(condition["text"].split())
            yield f"{clause['clause']}: {text} is {condition['state']}"
            miss = condition["nearest_miss"]
            if miss:
                yield f"  nearest: {miss['name']} fails {'; '.join(miss['failed'])}"


def _with_reasons_first(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(results, key=lambda result: result["explanations"] is None)


def _kind(result: Mapping[str, Any]) -> tuple[str, str]:
    was = result["was"]
    return was["verdict"] if was else "", result["now"]["verdict"]


def _word(words: Mapping[str, str], verdict: str, width: int = 0) -> str:
    text = f"{words[verdict]:{width}}"
    return paint(_ROLES[verdict], text) if verdict in _ROLES else text


def _waiting(backtest: Mapping[str, Any]) -> str:
    if backtest["state"] != "queued":
        return ""
    created_at = datetime.fromisoformat(backtest["created_at"])
    waited_s = (datetime.now(created_at.tzinfo) - created_at).total_seconds()
    if waited_s < _STALLED_S:
        return ""
    return f"for {waited_s:.0f} s: no worker has taken it (is `betrace worker` running?)"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _pace(progress: Mapping[str, Any]) -> str:
    said = f"{progress['spans']:,} spans, {progress['traces']:,} traces"
    if progress["gathering"]:
        return f"{said}, judging the rules over many traces"
    left_s = progress["seconds_left"]
    return said if left_s is None else f"{said}, {duration(left_s)} left"


def _time(text: str) -> str:
    """Return a moment in this machine's time zone, to the second."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
