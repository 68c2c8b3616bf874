"""Copies of traces, as the worker stored them."""
