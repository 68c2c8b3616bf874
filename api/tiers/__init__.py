"""Tiers: named sets of what a tenant may have."""
