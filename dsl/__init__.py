"""The rule language: text in, verdicts and explanations out. Pure: no clock, no I/O."""
