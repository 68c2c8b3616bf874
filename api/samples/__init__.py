"""Sample traces: what rules are tried on, of the library and of a tenant's own."""
