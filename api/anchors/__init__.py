"""Anchors: checkpoints of a tenant's log, handed to others who keep them or say when they came."""
