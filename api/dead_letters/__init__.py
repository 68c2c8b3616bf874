"""Records and spans that could not be used: looked at, put back into the stream, put aside."""
