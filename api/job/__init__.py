"""The detect job as something to operate: looked at, saved, upgraded, rescaled, begun anew."""
