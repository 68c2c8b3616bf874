"""Rules over many traces: `correlate { … }` and `expect { … }`. Pure: time is a parameter.

From text to rule: `nodes` (what was written), `parse`, `check`, `plan` (what it means), `printer`,
`rule` (a checked rule), `rule_set` (what several rules are to each other). Judging: `members` and
`keys` (what a trace contributes), `timeline`, `window`, `having`, `episodes`, `runs` and
`correlation` (the state of a `correlate`), `expectation` (the state of an `expect`), `ledger` (what
was told of it). `trials` and `explain` serve suites and people.
"""
