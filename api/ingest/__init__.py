"""The door of BeTrace: OTLP in, lane-sorted records of one tenant on Kafka out.

It authenticates, validates, splits by lane and gathers; it judges nothing. A request is answered
with success only when the broker has all of it.
"""
