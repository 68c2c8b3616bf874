from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RuleState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RULE_STATE_UNSPECIFIED: _ClassVar[RuleState]
    RULE_STATE_ACTIVE: _ClassVar[RuleState]
    RULE_STATE_SHADOW: _ClassVar[RuleState]
    RULE_STATE_OFF: _ClassVar[RuleState]
    RULE_STATE_QUARANTINED: _ClassVar[RuleState]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_VIOLATED: _ClassVar[Verdict]
    VERDICT_SATISFIED: _ClassVar[Verdict]
    VERDICT_NOT_APPLICABLE: _ClassVar[Verdict]
    VERDICT_INCONCLUSIVE: _ClassVar[Verdict]
RULE_STATE_UNSPECIFIED: RuleState
RULE_STATE_ACTIVE: RuleState
RULE_STATE_SHADOW: RuleState
RULE_STATE_OFF: RuleState
RULE_STATE_QUARANTINED: RuleState
VERDICT_UNSPECIFIED: Verdict
VERDICT_VIOLATED: Verdict
VERDICT_SATISFIED: Verdict
VERDICT_NOT_APPLICABLE: Verdict
VERDICT_INCONCLUSIVE: Verdict

class RuleLogRecord(_message.Message):
    __slots__ = ("rule", "tenant", "gap", "death", "forgetting")
    RULE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    DEATH_FIELD_NUMBER: _ClassVar[int]
    FORGETTING_FIELD_NUMBER: _ClassVar[int]
    rule: RuleVersion
    tenant: TenantSettings
    gap: Gap
    death: Death
    forgetting: Forgetting
    def __init__(self, rule: _Optional[_Union[RuleVersion, _Mapping]] = ..., tenant: _Optional[_Union[TenantSettings, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., death: _Optional[_Union[Death, _Mapping]] = ..., forgetting: _Optional[_Union[Forgetting, _Mapping]] = ...) -> None: ...

class RuleVersion(_message.Message):
    __slots__ = ("tenant", "rule_id", "version", "text", "state", "predicates", "name", "severity", "controls", "tags", "group_by", "settle_ms", "on_incomplete", "language")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PREDICATES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    SETTLE_MS_FIELD_NUMBER: _ClassVar[int]
    ON_INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    rule_id: str
    version: int
    text: str
    state: RuleState
    predicates: _containers.RepeatedCompositeFieldContainer[PredicateEntry]
    name: str
    severity: str
    controls: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    group_by: _containers.RepeatedScalarFieldContainer[str]
    settle_ms: int
    on_incomplete: str
    language: int
    def __init__(self, tenant: _Optional[str] = ..., rule_id: _Optional[str] = ..., version: _Optional[int] = ..., text: _Optional[str] = ..., state: _Optional[_Union[RuleState, str]] = ..., predicates: _Optional[_Iterable[_Union[PredicateEntry, _Mapping]]] = ..., name: _Optional[str] = ..., severity: _Optional[str] = ..., controls: _Optional[_Iterable[str]] = ..., tags: _Optional[_Iterable[str]] = ..., group_by: _Optional[_Iterable[str]] = ..., settle_ms: _Optional[int] = ..., on_incomplete: _Optional[str] = ..., language: _Optional[int] = ...) -> None: ...

class PredicateEntry(_message.Message):
    __slots__ = ("number", "hash")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    number: int
    hash: int
    def __init__(self, number: _Optional[int] = ..., hash: _Optional[int] = ...) -> None: ...

class TenantSettings(_message.Message):
    __slots__ = ("tenant", "settle_ms", "patience_ms", "max_life_ms", "lateness_ms", "span_sampled", "external_roots", "max_trace_spans", "max_open_traces", "max_open_bytes", "max_known_traces", "clock_skew_ms", "fold_after")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SETTLE_MS_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_LIFE_MS_FIELD_NUMBER: _ClassVar[int]
    LATENESS_MS_FIELD_NUMBER: _ClassVar[int]
    SPAN_SAMPLED_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ROOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_TRACE_SPANS_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_TRACES_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_KNOWN_TRACES_FIELD_NUMBER: _ClassVar[int]
    CLOCK_SKEW_MS_FIELD_NUMBER: _ClassVar[int]
    FOLD_AFTER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    settle_ms: int
    patience_ms: int
    max_life_ms: int
    lateness_ms: int
    span_sampled: bool
    external_roots: bool
    max_trace_spans: int
    max_open_traces: int
    max_open_bytes: int
    max_known_traces: int
    clock_skew_ms: int
    fold_after: int
    def __init__(self, tenant: _Optional[str] = ..., settle_ms: _Optional[int] = ..., patience_ms: _Optional[int] = ..., max_life_ms: _Optional[int] = ..., lateness_ms: _Optional[int] = ..., span_sampled: bool = ..., external_roots: bool = ..., max_trace_spans: _Optional[int] = ..., max_open_traces: _Optional[int] = ..., max_open_bytes: _Optional[int] = ..., max_known_traces: _Optional[int] = ..., clock_skew_ms: _Optional[int] = ..., fold_after: _Optional[int] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("reason", "until_ms", "reader")
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    reason: str
    until_ms: int
    reader: str
    def __init__(self, reason: _Optional[str] = ..., until_ms: _Optional[int] = ..., reader: _Optional[str] = ...) -> None: ...

class Death(_message.Message):
    __slots__ = ("partition", "offset", "time_ms", "tenant", "lane", "process")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    offset: int
    time_ms: int
    tenant: str
    lane: int
    process: bytes
    def __init__(self, partition: _Optional[int] = ..., offset: _Optional[int] = ..., time_ms: _Optional[int] = ..., tenant: _Optional[str] = ..., lane: _Optional[int] = ..., process: _Optional[bytes] = ...) -> None: ...

class Forgetting(_message.Message):
    __slots__ = ("tenant", "rule_id", "key", "id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    rule_id: str
    key: str
    id: bytes
    def __init__(self, tenant: _Optional[str] = ..., rule_id: _Optional[str] = ..., key: _Optional[str] = ..., id: _Optional[bytes] = ...) -> None: ...

class Signal(_message.Message):
    __slots__ = ("id", "revision", "tenant", "rule_id", "rule_version", "rule_name", "severity", "controls", "tags", "shadow", "verdict", "broken_clause", "incomplete", "reasons", "trace_id", "root_name", "root_service", "witness_span_ids", "span_count", "bindings", "bindings_total", "first_span_ms", "last_span_ms", "closed_ms", "judged_ms", "partition", "first_offset", "last_offset", "correction", "correlated", "overdue", "fold")
    ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RULE_NAME_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    BROKEN_CLAUSE_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_NAME_FIELD_NUMBER: _ClassVar[int]
    ROOT_SERVICE_FIELD_NUMBER: _ClassVar[int]
    WITNESS_SPAN_IDS_FIELD_NUMBER: _ClassVar[int]
    SPAN_COUNT_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    FIRST_SPAN_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_SPAN_MS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_MS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_MS_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    FIRST_OFFSET_FIELD_NUMBER: _ClassVar[int]
    LAST_OFFSET_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    CORRELATED_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    FOLD_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    revision: int
    tenant: str
    rule_id: str
    rule_version: int
    rule_name: str
    severity: str
    controls: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    shadow: bool
    verdict: Verdict
    broken_clause: str
    incomplete: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    trace_id: bytes
    root_name: str
    root_service: str
    witness_span_ids: _containers.RepeatedScalarFieldContainer[bytes]
    span_count: int
    bindings: _containers.RepeatedCompositeFieldContainer[Combination]
    bindings_total: int
    first_span_ms: int
    last_span_ms: int
    closed_ms: int
    judged_ms: int
    partition: int
    first_offset: int
    last_offset: int
    correction: Correction
    correlated: Correlated
    overdue: Overdue
    fold: Fold
    def __init__(self, id: _Optional[bytes] = ..., revision: _Optional[int] = ..., tenant: _Optional[str] = ..., rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., rule_name: _Optional[str] = ..., severity: _Optional[str] = ..., controls: _Optional[_Iterable[str]] = ..., tags: _Optional[_Iterable[str]] = ..., shadow: bool = ..., verdict: _Optional[_Union[Verdict, str]] = ..., broken_clause: _Optional[str] = ..., incomplete: bool = ..., reasons: _Optional[_Iterable[str]] = ..., trace_id: _Optional[bytes] = ..., root_name: _Optional[str] = ..., root_service: _Optional[str] = ..., witness_span_ids: _Optional[_Iterable[bytes]] = ..., span_count: _Optional[int] = ..., bindings: _Optional[_Iterable[_Union[Combination, _Mapping]]] = ..., bindings_total: _Optional[int] = ..., first_span_ms: _Optional[int] = ..., last_span_ms: _Optional[int] = ..., closed_ms: _Optional[int] = ..., judged_ms: _Optional[int] = ..., partition: _Optional[int] = ..., first_offset: _Optional[int] = ..., last_offset: _Optional[int] = ..., correction: _Optional[_Union[Correction, _Mapping]] = ..., correlated: _Optional[_Union[Correlated, _Mapping]] = ..., overdue: _Optional[_Union[Overdue, _Mapping]] = ..., fold: _Optional[_Union[Fold, _Mapping]] = ...) -> None: ...

class KeyField(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Correlated(_message.Message):
    __slots__ = ("key", "since_ns", "last_ns", "within_ns", "over", "count", "members", "measured")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    LAST_NS_FIELD_NUMBER: _ClassVar[int]
    WITHIN_NS_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    key: _containers.RepeatedCompositeFieldContainer[KeyField]
    since_ns: int
    last_ns: int
    within_ns: int
    over: bool
    count: int
    members: _containers.RepeatedCompositeFieldContainer[Contributing]
    measured: _containers.RepeatedCompositeFieldContainer[Measured]
    def __init__(self, key: _Optional[_Iterable[_Union[KeyField, _Mapping]]] = ..., since_ns: _Optional[int] = ..., last_ns: _Optional[int] = ..., within_ns: _Optional[int] = ..., over: bool = ..., count: _Optional[int] = ..., members: _Optional[_Iterable[_Union[Contributing, _Mapping]]] = ..., measured: _Optional[_Iterable[_Union[Measured, _Mapping]]] = ...) -> None: ...

class Contributing(_message.Message):
    __slots__ = ("time_ns", "name", "trace_id", "span_id", "signal_id", "source", "doubtful", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DOUBTFUL_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    time_ns: int
    name: str
    trace_id: bytes
    span_id: bytes
    signal_id: bytes
    source: int
    doubtful: bool
    values: _containers.ScalarMap[str, str]
    def __init__(self, time_ns: _Optional[int] = ..., name: _Optional[str] = ..., trace_id: _Optional[bytes] = ..., span_id: _Optional[bytes] = ..., signal_id: _Optional[bytes] = ..., source: _Optional[int] = ..., doubtful: bool = ..., values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Measured(_message.Message):
    __slots__ = ("text", "least", "greatest")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    GREATEST_FIELD_NUMBER: _ClassVar[int]
    text: str
    least: str
    greatest: str
    def __init__(self, text: _Optional[str] = ..., least: _Optional[str] = ..., greatest: _Optional[str] = ...) -> None: ...

class Overdue(_message.Message):
    __slots__ = ("key", "last_seen_ns", "last_trace_id", "due_ns", "until_ns", "ended", "seen_trace_id", "every_ns")
    KEY_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_NS_FIELD_NUMBER: _ClassVar[int]
    LAST_TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    DUE_NS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    SEEN_TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    EVERY_NS_FIELD_NUMBER: _ClassVar[int]
    key: _containers.RepeatedCompositeFieldContainer[KeyField]
    last_seen_ns: int
    last_trace_id: bytes
    due_ns: int
    until_ns: int
    ended: str
    seen_trace_id: bytes
    every_ns: int
    def __init__(self, key: _Optional[_Iterable[_Union[KeyField, _Mapping]]] = ..., last_seen_ns: _Optional[int] = ..., last_trace_id: _Optional[bytes] = ..., due_ns: _Optional[int] = ..., until_ns: _Optional[int] = ..., ended: _Optional[str] = ..., seen_trace_id: _Optional[bytes] = ..., every_ns: _Optional[int] = ...) -> None: ...

class Fold(_message.Message):
    __slots__ = ("lane", "minute_ms", "raised", "renewed", "withdrawn", "first_judged_ms", "last_judged_ms", "example_trace_ids")
    LANE_FIELD_NUMBER: _ClassVar[int]
    MINUTE_MS_FIELD_NUMBER: _ClassVar[int]
    RAISED_FIELD_NUMBER: _ClassVar[int]
    RENEWED_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    FIRST_JUDGED_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_JUDGED_MS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_TRACE_IDS_FIELD_NUMBER: _ClassVar[int]
    lane: int
    minute_ms: int
    raised: int
    renewed: int
    withdrawn: int
    first_judged_ms: int
    last_judged_ms: int
    example_trace_ids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, lane: _Optional[int] = ..., minute_ms: _Optional[int] = ..., raised: _Optional[int] = ..., renewed: _Optional[int] = ..., withdrawn: _Optional[int] = ..., first_judged_ms: _Optional[int] = ..., last_judged_ms: _Optional[int] = ..., example_trace_ids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Combination(_message.Message):
    __slots__ = ("spans",)
    SPANS_FIELD_NUMBER: _ClassVar[int]
    spans: _containers.RepeatedCompositeFieldContainer[BoundSpan]
    def __init__(self, spans: _Optional[_Iterable[_Union[BoundSpan, _Mapping]]] = ...) -> None: ...

class BoundSpan(_message.Message):
    __slots__ = ("name", "span_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    span_id: bytes
    def __init__(self, name: _Optional[str] = ..., span_id: _Optional[bytes] = ...) -> None: ...

class Correction(_message.Message):
    __slots__ = ("replaces_revision", "was", "reason")
    REPLACES_REVISION_FIELD_NUMBER: _ClassVar[int]
    WAS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    replaces_revision: int
    was: Verdict
    reason: str
    def __init__(self, replaces_revision: _Optional[int] = ..., was: _Optional[_Union[Verdict, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Stats(_message.Message):
    __slots__ = ("lane", "tenant", "minute_ms", "revision", "counts", "rules", "open_before", "open")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    LANE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MINUTE_MS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    OPEN_BEFORE_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    lane: int
    tenant: str
    minute_ms: int
    revision: int
    counts: _containers.ScalarMap[str, int]
    rules: _containers.RepeatedCompositeFieldContainer[RuleStats]
    open_before: int
    open: int
    def __init__(self, lane: _Optional[int] = ..., tenant: _Optional[str] = ..., minute_ms: _Optional[int] = ..., revision: _Optional[int] = ..., counts: _Optional[_Mapping[str, int]] = ..., rules: _Optional[_Iterable[_Union[RuleStats, _Mapping]]] = ..., open_before: _Optional[int] = ..., open: _Optional[int] = ...) -> None: ...

class RuleStats(_message.Message):
    __slots__ = ("rule_id", "version", "violated", "satisfied", "not_applicable", "inconclusive", "over_budget", "failed")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VIOLATED_FIELD_NUMBER: _ClassVar[int]
    SATISFIED_FIELD_NUMBER: _ClassVar[int]
    NOT_APPLICABLE_FIELD_NUMBER: _ClassVar[int]
    INCONCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    OVER_BUDGET_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    version: int
    violated: int
    satisfied: int
    not_applicable: int
    inconclusive: int
    over_budget: int
    failed: int
    def __init__(self, rule_id: _Optional[str] = ..., version: _Optional[int] = ..., violated: _Optional[int] = ..., satisfied: _Optional[int] = ..., not_applicable: _Optional[int] = ..., inconclusive: _Optional[int] = ..., over_budget: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("tenant", "source", "code", "detail", "topic", "partition", "offset", "content")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    source: str
    code: str
    detail: str
    topic: str
    partition: int
    offset: int
    content: bytes
    def __init__(self, tenant: _Optional[str] = ..., source: _Optional[str] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class ComplianceSpans(_message.Message):
    __slots__ = ("tenant", "partition", "offset", "time_ms", "spans")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    partition: int
    offset: int
    time_ms: int
    spans: _containers.RepeatedCompositeFieldContainer[ComplianceSpan]
    def __init__(self, tenant: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., time_ms: _Optional[int] = ..., spans: _Optional[_Iterable[_Union[ComplianceSpan, _Mapping]]] = ...) -> None: ...

class ComplianceSpan(_message.Message):
    __slots__ = ("trace_id", "span_id", "service", "operation", "start_ns", "end_ns", "attributes", "left_out")
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    trace_id: bytes
    span_id: bytes
    service: str
    operation: str
    start_ns: int
    end_ns: int
    attributes: str
    left_out: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, trace_id: _Optional[bytes] = ..., span_id: _Optional[bytes] = ..., service: _Optional[str] = ..., operation: _Optional[str] = ..., start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., attributes: _Optional[str] = ..., left_out: _Optional[_Iterable[str]] = ...) -> None: ...
