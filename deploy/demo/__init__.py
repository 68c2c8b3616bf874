"""A small shop that keeps most of its promises: traffic for the demo, and rules for it."""
