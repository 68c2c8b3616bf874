"""Keys by which BeTrace signs, seals and redacts for a tenant. API keys are `api.keys`."""
