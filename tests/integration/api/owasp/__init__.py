"""The OWASP API Security Top 10 of 2023, one file an item: what our API does about it.

Matrices elsewhere try every route; here stands for each item what an attacker would try first.
"""
