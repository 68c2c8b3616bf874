"""Rules: their objects, immutable versions, and the log that the job reads."""
