"""What an operator can mend: shown by the command line as one line, without a traceback."""

from __future__ import annotations


class OperatorError(Exception):
    """A missing setting or a server that does not answer; the text says what to do."""
