"""What an archive of a tenant holds, table by table, and what is left out for which reason.

A test compares both lists with the tables of the database: a new table stands in one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One file of the archive: a table's rows as JSON lines in the order of some columns.

    name: of the file, without its ending. what: for whoever reads it. withheld: columns that are
    not told. of_person: whether address and name of the row's user_id are told with it.
    """

    name: str
    table: str
    order: tuple[str, ...]
    what: str
    withheld: tuple[str, ...] = ()
    of_person: bool = False


KINDS: Final = (
    Kind(
        name="tenant",
        table="tenants",
        order=("id",),
        what="What the tenant is called and how its traces are judged.",
        withheld=("paused_rules", "purge_began_at", "audit_end", "purged"),
    ),
    Kind(
        name="members",
        table="memberships",
        order=("user_id",),
        what="Who belongs to the tenant and as what.",
        of_person=True,
    ),
    Kind(
        name="invitations",
        table="invitations",
        order=("id",),
        what="Who was invited, without the links.",
        withheld=("token_hash",),
    ),
    Kind(
        name="provider-grants",
        table="provider_grants",
        order=("issuer", "organisation", "kind", "value"),
        what="What claims of identity providers grant.",
    ),
    Kind(
        name="keys",
        table="api_keys",
        order=("id",),
        what="API keys, without their secrets.",
        withheld=("key_hash",),
    ),
    Kind(
        name="signing-and-data-keys",
        table="tenant_keys",
        order=("purpose", "generation"),
        what="Keys that sign, seal and redact: public keys and what became of them.",
        withheld=("provider", "master", "form", "sealed"),
    ),
    Kind(
        name="redaction-policies",
        table="redaction_policies",
        order=("version",),
        what="Every version of what is taken out of spans.",
    ),
    Kind(
        name="redaction-vault",
        table="redaction_vault",
        order=("token",),
        what="Tokens that stand in spans for values. The values themselves are told one by one.",
        withheld=("sealed",),
    ),
    Kind(
        name="redaction-counts",
        table="redaction_counts",
        order=("day", "policy_version", "what"),
        what="What was taken out of spans, by day and version of the policy.",
    ),
    Kind(name="rules", table="rules", order=("id",), what="Rules and their state."),
    Kind(
        name="rule-versions",
        table="rule_versions",
        order=("rule_id", "version"),
        what="Every version of every rule: the rule object, its text, its author.",
    ),
    Kind(name="signals", table="signals", order=("id",), what="Signals with their explanations."),
    Kind(
        name="signal-history",
        table="signal_history",
        order=("signal_id", "seq"),
        what="What became of signals, and who did it.",
    ),
    Kind(
        name="signal-notes",
        table="signal_notes",
        order=("signal_id", "created_at", "id"),
        what="What people wrote on signals, in Markdown.",
    ),
    Kind(
        name="signal-links",
        table="signal_links",
        order=("signal_id", "other_id"),
        what="Which signals people said belong together.",
    ),
    Kind(
        name="rule-snoozes",
        table="rule_snoozes",
        order=("from_at", "id"),
        what="When rules were to alert nobody, who said so and why.",
    ),
    Kind(
        name="saved-views",
        table="saved_views",
        order=("id",),
        what="Filters of signals that people keep under a name.",
    ),
    Kind(
        name="signal-folds",
        table="signal_folds",
        order=("rule_id", "minute", "rule_version", "lane"),
        what="What was folded of storms of signals.",
    ),
    Kind(name="traces", table="trace_copies", order=("trace_id",), what="Copies of traces."),
    Kind(
        name="spans",
        table="trace_spans",
        order=("trace_id", "ordinal"),
        what="The spans of these copies.",
    ),
    Kind(
        name="samples",
        table="trace_samples",
        order=("created_at", "id"),
        what="Traces that rules are tried on.",
    ),
    Kind(
        name="cases",
        table="rule_cases",
        order=("rule_id", "created_at", "id"),
        what="What rules have to say of which samples.",
    ),
    Kind(name="case-runs", table="case_runs", order=("at", "id"), what="Runs of these cases."),
    Kind(
        name="case-results",
        table="case_results",
        order=("run_id", "place"),
        what="What came of each case in them.",
    ),
    Kind(
        name="backtests",
        table="backtests",
        order=("id",),
        what="Backtests: what was asked for.",
        withheld=("now_records", "was_records", "runner", "lease_until"),
    ),
    Kind(
        name="backtest-counts",
        table="backtest_counts",
        order=("backtest_id", "partition", "rule_id", "was", "now"),
        what="How many traces of a backtest got which verdicts.",
    ),
    Kind(
        name="backtest-results",
        table="backtest_results",
        order=("backtest_id", "rule_id", "trace_id"),
        what="Single traces of backtests.",
    ),
    Kind(name="notices", table="notices", order=("id",), what="What people were told."),
    Kind(
        name="dead-letters",
        table="dead_letters",
        order=("letter_partition", "letter_offset"),
        what="What could not be used, as far as its tenant is known.",
    ),
    Kind(name="usage", table="usage_days", order=("day",), what="Spans by day."),
    Kind(
        name="accounts",
        table="stats_minutes",
        order=("minute", "lane"),
        what="What became of the spans of each minute and lane.",
    ),
    Kind(
        name="rule-accounts",
        table="rule_stats_minutes",
        order=("rule_id", "minute", "rule_version", "lane"),
        what="Verdicts of each rule, minute and lane.",
    ),
    Kind(
        name="anchor-targets",
        table="anchor_targets",
        order=("created_at", "id"),
        what="Where checkpoints of the evidence log go, without secrets.",
        withheld=("secret", "secret_key_id", "busy_until"),
    ),
    Kind(
        name="anchors",
        table="anchors",
        order=("checkpoint", "target_id"),
        what="What became of checkpoints there: time stamps, and what sinks answered.",
    ),
    Kind(
        name="deleted",
        table="retention_ledger",
        order=("day", "what"),
        what="How many rows of what were deleted for their age, by day.",
        withheld=("told_count",),
    ),
    Kind(
        name="evidence-log",
        table="evidence_logs",
        order=("tenant_id",),
        what="The evidence log: its name, size and root.",
        withheld=("edge",),
    ),
    Kind(
        name="evidence",
        table="evidence_records",
        order=("seq",),
        what="Sealed records; line has their canonical bytes. A pack of them can be verified.",
    ),
    Kind(
        name="evidence-payloads",
        table="evidence_payloads",
        order=("seq",),
        what="What is personal in them, with its salt, or when it was erased.",
    ),
    Kind(
        name="evidence-checkpoints",
        table="evidence_checkpoints",
        order=("number",),
        what="Signed heads of the log.",
    ),
    Kind(
        name="verifications",
        table="evidence_verifications",
        order=("at", "id"),
        what="Verifications of evidence: who, when, over what, and how many were valid.",
    ),
    Kind(
        name="verified",
        table="evidence_verified",
        order=("verification_id", "seq"),
        what="What they found of each record.",
    ),
    Kind(
        name="evidence-outages",
        table="evidence_outages",
        order=("began_ms",),
        what="When the source of keys did not sign.",
    ),
    Kind(
        name="audit",
        table="audit_log",
        order=("xact", "seq"),
        what="Who was let in or refused, and who changed what.",
        withheld=("xact",),
    ),
)

LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sessions": "Credentials of people, which end within days.",
        "predicate_numbers": "Numbers that the job gives to parts of rules; rule texts have all.",
        "redaction_rekeyings": "That rules are to follow a new key, for some seconds.",
        "rules_outbox": "Rule versions once more, as the job reads them.",
        "signal_moves": "Counts of signals on their way into sums.",
        "signal_sums": "Counts of signals, which are here.",
        "signal_group_sums": "Counts of signals by group.",
        "signal_bulk_changes": "How to take a change of many back; forgotten after a day.",
        "signal_feed": "Wakes pages that are open; forgotten after a day.",
        "trace_search": "What stored traces hold once more, to find them by.",
        "trace_tasks": "The worker's list of traces still to copy.",
        "trace_budgets": "How many copies the worker made in an hour.",
        "backtest_parts": "How workers shared the reading of the log.",
        "backtest_handed": "What parts of a running backtest hand to one another.",
        "evidence_inbox": "What is sealed within seconds, and is among the records then.",
        "evidence_controls": "Controls of records once more, to find them by.",
        "evidence_totals": "Counts of records by control and day.",
        "evidence_coverage": "Numbers of records of coverage once more, to be summed.",
        "evidence_days": "Counts of records by framework and day.",
        "evidence_coverage_days": "Numbers of coverage summed by day.",
        "evidence_services": "Records of compliance spans once more, to find them by service.",
        "evidence_texts": "Words of records, to find them by.",
        "evidence_text_records": "Records once more, to find them by their words.",
        "evidence_text_days": "Counts of records by their words and day.",
        "evidence_nodes": "Hashes of the log's tree, which follow from the records.",
        "evidence_coverage_cursors": "How far coverage was handed over.",
        "evidence_acts_cursors": "How far the audit log was handed over.",
        "deletion_proofs": "What is left of tenants that are gone.",
    }
)
"""Tables with a tenant's rows that no archive holds."""
