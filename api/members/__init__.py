"""The people of a tenant: as what they belong to it, until when, and how they leave."""
