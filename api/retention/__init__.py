"""How long what a tenant has is kept: what its people choose, and within what bounds."""
