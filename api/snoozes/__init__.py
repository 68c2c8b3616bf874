"""Times in which a rule alerts nobody: what it finds meanwhile stays on record, silenced."""
