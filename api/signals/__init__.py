"""Signals: lists, one signal with its explanation, the life cycle, the live feed."""
