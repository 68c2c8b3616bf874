"""Takes personal data and secrets out of spans and texts, before they are written anywhere.

    Redactor(policy, key).record(value) -> (value, Counts)
    Redactor(policy, key).text(text)    -> text

What to look for is data: `contacts`, `accounts`, `machines`, `national_ids` and `credentials` say
how values look, `keys` what attributes are called; `conventions` says what OpenTelemetry's own
attributes are spared. `scanner` finds, `strategies` decides what stands there instead, `policy` is
a tenant's choice of both, `places` walks a span. Pure: keys are arguments, and nothing is
remembered but what can be made again.
"""
