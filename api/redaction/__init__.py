"""Redaction at work: policies of tenants on record, redactors of tenants at hand, the vault."""
