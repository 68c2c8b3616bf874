"""Wrapped keys of a local source: not a bit of them may change."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.keysource.keys import KEY_BYTES, Binding, Purpose
from udfs.keysource.local import LocalKeys
from udfs.keysource.masters import new_master, read_masters
from udfs.keysource.trouble import KeyRefused

SOURCE = LocalKeys(read_masters(new_master("m1"), where="the test"))
BINDING = Binding(UUID(int=1), Purpose.DATA, UUID(int=2))
SEALED = SOURCE.wrap(bytes(range(KEY_BYTES)), BINDING)
bindings = st.builds(Binding, st.uuids(), st.sampled_from(Purpose), st.uuids())


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), bindings)
def test_wrapping_and_unwrapping_are_inverse(secret: bytes, binding: Binding) -> None:
    assert SOURCE.unwrap(SOURCE.wrap(secret, binding), binding) == secret


@given(bindings, bindings)
def test_bindings_that_differ_are_different_bytes(one: Binding, other: Binding) -> None:
    assert (one == other) == (one.authenticated == other.authenticated)


@given(st.integers(0, 8 * len(SEALED.material) - 1))
def test_any_flipped_bit_is_refused(bit: int) -> None:
    changed = bytearray(SEALED.material)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyRefused):
        SOURCE.unwrap(replace(SEALED, material=bytes(changed)), BINDING)


@given(st.binary(max_size=80))
def test_any_bytes_are_refused(material: bytes) -> None:
    with pytest.raises(KeyRefused):
        SOURCE.unwrap(replace(SEALED, material=material), BINDING)


def test_another_master_key_of_the_same_id_is_refused() -> None:
    other = LocalKeys(read_masters(new_master("m1"), where="the test"))
    with pytest.raises(KeyRefused, match="master key of that id"):
        other.unwrap(SEALED, BINDING)
