"""Benchmarks: a generated load whose every verdict is known beforehand, and what it measures.

`drafts`, `rules`, `traffic` invent traces and promises; `encode`, `ids`, `chunk` turn them into
OTLP records that can be stamped with new ids and times many times a second; `load` writes them to
Kafka; the rest runs the phases and reports. Nothing here is imported by the product itself.
"""
