"""Notices: what the system did to something of a tenant, and what its owner can do now."""
