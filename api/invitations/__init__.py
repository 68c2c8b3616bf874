"""Invitations into a tenant: a link for one address, good for some days and once."""
