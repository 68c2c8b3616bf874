"""Thin PyFlink operators around the pure functions of `udfs`."""
