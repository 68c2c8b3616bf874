"""All that a tenant has, as one archive."""
