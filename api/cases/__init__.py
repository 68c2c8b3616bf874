"""Cases that rules are held to, and what came of running them."""
