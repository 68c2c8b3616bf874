"""Calls to addresses that somebody else chose: webhooks, logos. The only way out for them."""
