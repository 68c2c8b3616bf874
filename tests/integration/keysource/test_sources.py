"""What every source of keys does: one suite for local, AWS KMS and Vault."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.integration.keysource.conftest import Provided
from udfs.keysource.keys import KEY_BYTES, Binding, Form, Purpose, Sealed
from udfs.keysource.signing import is_signature
from udfs.keysource.source import KeySource
from udfs.keysource.trouble import KeyDestroyed, KeyRefused, KeysUnavailable


def bound(purpose: Purpose = Purpose.DATA) -> Binding:
    """A binding that nobody else has."""
    return Binding(uuid4(), purpose, uuid4())


def flipped(sealed: Sealed) -> Sealed:
    """The same with one bit of its material changed."""
    *rest, last = sealed.material
    return replace(sealed, material=bytes([*rest, last ^ 1]))


def test_a_key_is_unwrapped_by_another_process(provided: Provided) -> None:
    binding = bound()
    made = provided.source.generate(binding)
    assert len(made.secret) == KEY_BYTES
    assert provided.another().unwrap(made.sealed, binding) == made.secret


def test_no_two_keys_are_the_same(provided: Provided) -> None:
    binding = bound()
    keys = [provided.source.generate(replace(binding, key_id=uuid4())) for _ in range(3)]
    assert len({key.secret for key in keys}) == 3


def test_a_key_from_elsewhere_is_taken_over(provided: Provided) -> None:
    binding, secret = bound(), bytes(range(KEY_BYTES))
    sealed = provided.source.wrap(secret, binding)
    assert provided.source.unwrap(sealed, binding) == secret


def test_what_is_on_record_does_not_hold_the_key(provided: Provided) -> None:
    made = provided.source.generate(bound())
    assert made.secret not in made.sealed.material
    assert repr(made.secret) not in repr(made)


@pytest.mark.parametrize("other", ["tenant", "purpose", "key_id"])
def test_a_key_does_not_unwrap_for_another(other: str, provided: Provided) -> None:
    ours = bound()
    theirs = replace(ours, **{other: Purpose.REDACTION if other == "purpose" else uuid4()})
    made = provided.source.generate(ours)
    provided.source.generate(replace(theirs, key_id=uuid4()))
    with pytest.raises(KeyRefused):
        provided.source.unwrap(made.sealed, theirs)


def test_a_changed_key_does_not_unwrap(provided: Provided) -> None:
    binding = bound()
    made = provided.source.generate(binding)
    with pytest.raises(KeyRefused) as refused:
        provided.source.unwrap(flipped(made.sealed), binding)
    assert made.secret.hex() not in str(refused.value)


def test_signatures_are_good_for_the_key_and_the_message(provided: Provided) -> None:
    binding = bound(Purpose.SIGNING)
    made = provided.source.new_signer(binding)
    signature = provided.source.signer(made.sealed, binding)(b"a message")
    again = provided.another().signer(made.sealed, binding)(b"a message")
    assert signature == again
    assert len(signature) == 64
    assert is_signature(signature, b"a message", public_key=made.public_key)
    assert not is_signature(signature, b"another message", public_key=made.public_key)
    other = provided.source.new_signer(replace(binding, key_id=uuid4()))
    assert not is_signature(signature, b"a message", public_key=other.public_key)


def test_a_signing_key_does_not_sign_for_another_tenant(provided: Provided) -> None:
    ours, theirs = bound(Purpose.SIGNING), bound(Purpose.SIGNING)
    made = provided.source.new_signer(ours)
    provided.source.new_signer(replace(theirs, key_id=uuid4()))
    with pytest.raises((KeyRefused, KeyDestroyed)):
        provided.source.signer(made.sealed, theirs)(b"a message")


def test_a_new_master_key_wraps_the_same_keys(provided: Provided) -> None:
    binding = bound()
    made = provided.source.generate(binding)
    source = provided.rotated(binding.tenant)
    sealed = source.rewrap(made.sealed, binding)
    assert source.unwrap(sealed, binding) == made.secret
    # Until all are rewrapped, those of before are good as well.
    assert source.unwrap(made.sealed, binding) == made.secret
    if sealed.form is Form.WRAPPED:
        assert sealed.master != made.sealed.master


def test_rewrapping_binds_as_before(provided: Provided) -> None:
    binding = bound()
    made = provided.source.generate(binding)
    source = provided.rotated(binding.tenant)
    sealed = source.rewrap(made.sealed, binding)
    with pytest.raises(KeyRefused):
        source.unwrap(sealed, replace(binding, key_id=uuid4()))


def test_a_signing_key_signs_alike_after_rewrapping(provided: Provided) -> None:
    binding = bound(Purpose.SIGNING)
    made = provided.source.new_signer(binding)
    provided.source.generate(replace(binding, purpose=Purpose.DATA, key_id=uuid4()))
    source = provided.rotated(binding.tenant)
    sealed = source.rewrap(made.sealed, binding)
    signature = source.signer(sealed, binding)(b"a message")
    assert is_signature(signature, b"a message", public_key=made.public_key)


@pytest.mark.parametrize("purpose", [Purpose.DATA, Purpose.SIGNING])
def test_what_the_source_holds_of_a_key_is_destroyed(purpose: Purpose, provided: Provided) -> None:
    binding, neighbour = bound(purpose), bound(purpose)
    sealed, kept = made_for(provided.source, binding), made_for(provided.source, neighbour)
    for _ in range(2):
        provided.source.destroy(sealed, binding)
    use(provided.source, kept, neighbour)
    if sealed.form is Form.WRAPPED:
        use(provided.source, sealed, binding)  # gone with the record, which is all there is of it
    else:
        with pytest.raises(KeyDestroyed):
            use(provided.source, sealed, binding)


def test_a_forgotten_tenant_has_no_master_key(provided: Provided) -> None:
    binding, neighbour = bound(), bound()
    ours, theirs = made_for(provided.source, binding), made_for(provided.source, neighbour)
    for _ in range(2):
        provided.source.forget(binding.tenant)
    use(provided.source, theirs, neighbour)
    if provided.name.startswith("vault-transit"):
        with pytest.raises(KeyDestroyed):
            use(provided.source, ours, binding)
    else:
        use(provided.source, ours, binding)


def test_while_it_is_away_it_says_so_and_later_it_works(provided: Provided) -> None:
    if provided.gate is None:
        pytest.skip("nothing of it can be away")
    binding, signing = bound(), bound(Purpose.SIGNING)
    sealed, signer = (made_for(provided.source, each) for each in (binding, signing))
    provided.gate.shut()
    tries = [
        lambda: provided.source.generate(bound()),
        lambda: provided.source.unwrap(sealed, binding),
        lambda: provided.source.signer(signer, signing)(b"a message"),
        provided.source.check,
    ]
    for attempt in tries:
        with pytest.raises(KeysUnavailable) as away:
            attempt()
        assert away.value.retryable
        assert away.value.next_step
    provided.gate.open()
    use(provided.source, sealed, binding)
    use(provided.source, signer, signing)
    provided.source.check()


def test_credentials_that_are_refused_are_no_outage(provided: Provided) -> None:
    if provided.without_rights is None:
        pytest.skip("nobody asks for credentials")
    with pytest.raises(KeyRefused) as refused:
        provided.without_rights().check()
    assert not refused.value.retryable
    assert refused.value.where in str(refused.value)


def test_threads_ask_at_once(provided: Provided) -> None:
    tenant = uuid4()

    def round_trip(_: int) -> bool:
        binding = Binding(tenant, Purpose.DATA, uuid4())
        made = provided.source.generate(binding)
        return provided.source.unwrap(made.sealed, binding) == made.secret

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(round_trip, range(40)))


def made_for(source: KeySource, binding: Binding) -> Sealed:
    """Make a key or a signing key, as the binding says."""
    if binding.purpose is Purpose.SIGNING:
        return source.new_signer(binding).sealed
    return source.generate(binding).sealed


def use(source: KeySource, sealed: Sealed, binding: Binding) -> None:
    """Do with a key what it is for. Raises KeyTrouble."""
    if binding.purpose is Purpose.SIGNING:
        assert len(source.signer(sealed, binding)(b"a message")) == 64
    else:
        assert len(source.unwrap(sealed, binding)) == KEY_BYTES
