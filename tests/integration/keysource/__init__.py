"""Sources and records of keys: what each of them must do."""
