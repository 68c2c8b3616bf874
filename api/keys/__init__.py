"""Machine keys: what they may do, for how long, from where; rotation and revocation."""
