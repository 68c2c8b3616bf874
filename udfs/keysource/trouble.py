"""What goes wrong with keys, each with what happened, where, and the next step."""

from __future__ import annotations


class KeyTrouble(Exception):
    """A key could not be had or used.

    what: happened. where: a key, a master key, a file or an address. next_step: for whoever can
    mend it. No text holds a key or a part of one. retryable: whether the same may work later.
    """

    retryable = False

    def __init__(self, what: str, *, where: str, next_step: str) -> None:
        super().__init__(f"{what} ({where}). {next_step}")
        self.what = what
        self.where = where
        self.next_step = next_step


class KeysUnavailable(KeyTrouble):
    """A source or the record of keys does not answer, or has too much to do."""

    retryable = True


class KeyRefused(KeyTrouble):
    """A source or the ring does not do it: wrong binding, no right, a key that may not."""


class MasterRefused(KeyTrouble):
    """A master key is absent, or not fit to be one."""


class UnknownKey(KeyTrouble):
    """The tenant has no such key, or not for this purpose."""


class KeyRevoked(KeyTrouble):
    """The key was revoked; what it is asked for is not done with it any more."""


class KeyDestroyed(KeyTrouble):
    """The private part of the key is nowhere any more, and nothing brings it back."""
