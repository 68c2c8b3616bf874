"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for the day
when the app is gone.

Codes have six digits and change every 30 s; one step before and after now is accepted, for clocks
that are off. A code is taken once, and none older than the newest taken is (RFC 6238, 5.2).
The app's secret is stored sealed, bound to the id of the person (`api.auth.sealing`).
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import pyotp

from api.auth.hashes import keyed_hash
from api.auth.sealing import Sealer
from api.database import Connection, queries
from api.problems import ApiError

ISSUER: Final = "BeTrace"
ENROLMENT_LIFETIME: Final = timedelta(minutes=15)
"""How long after the secret was made its first code may come."""
RECOVERY_CODES: Final = 10
_RECOVERY_LENGTH: Final = 10
_ALPHABET: Final = "ABCDEFGHJKMNPQRSTVWXYZ0123456789"
"""32 characters that nobody confuses: ten of them are 50 bits."""
_DRIFT_STEPS: Final = 1
_DIGITS: Final = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app is given: the secret in base 32, and the same as otpauth URI."""

    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class FactorState:
    """Whether a person has a second factor, and how many recovery codes are left."""

    on: bool
    recovery_codes_left: int


class SecondFactors:
    """Second factors of people. Every connection is a transaction of the person concerned."""

    def __init__(
        self, *, pepper: bytes, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._pepper = pepper
        self._clock = clock
        self._sealer = Sealer(pepper, purpose="second factor")

    async def state(self, connection: Connection) -> FactorState:
        """Return how things stand."""
        return FactorState(
            await queries("accounts").has_factor(connection),
            await queries("accounts").recovery_codes_left(connection),
        )

    async def enrol(self, connection: Connection, user_id: UUID, *, email: str) -> Enrolment:
        """Make a secret; it counts once a code of it was given. Again makes another.

        Raises ApiError 409 if there is a second factor already.
        """
        secret = pyotp.random_base32()
        begun = await queries("accounts").begin_factor(
            connection, sealed_secret=self._seal(secret, user_id)
        )
        if begun == 0:
            raise ApiError(409, "account.factor_on", "There is a second factor already.")
        return _enrolment(secret, email=email)

    async def pending(
        self, connection: Connection, user_id: UUID, *, email: str
    ) -> Enrolment | None:
        """Return the enrolment that waits for its first code."""
        row = await queries("accounts").pending_factor(connection, patience=ENROLMENT_LIFETIME)
        if row is None:
            return None
        return _enrolment(self._unseal(row["sealed_secret"], user_id), email=email)

    async def confirm(self, connection: Connection, user_id: UUID, code: str) -> list[str]:
        """Switch the factor on with a first code; return the recovery codes, shown only now.

        Raises ApiError 400 if the code is wrong, 409 if nothing waits for one.
        """
        row = await queries("accounts").pending_factor(connection, patience=ENROLMENT_LIFETIME)
        if row is None:
            raise ApiError(409, "account.no_enrolment", "Begin with the second factor first.")
        if not await self._take_code(connection, user_id, _plain(code)):
            raise wrong_code()
        await queries("accounts").confirm_factor(connection)
        return await self.new_recovery_codes(connection, user_id)

    async def accept(self, connection: Connection, user_id: UUID, code: str) -> bool:
        """Return whether a code of the app or a recovery code is right, and use it up."""
        code = _plain(code)
        if _DIGITS.fullmatch(code):
            return await self._take_code(connection, user_id, code)
        taken: int = await queries("accounts").take_recovery_code(
            connection, code_hash=self._recovery_hash(user_id, code)
        )
        return taken == 1

    async def new_recovery_codes(self, connection: Connection, user_id: UUID) -> list[str]:
        """Replace the recovery codes and return the new ones, shown only now."""
        made = [
            "".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_LENGTH))
            for _ in range(RECOVERY_CODES)
        ]
        await queries("accounts").drop_recovery_codes(connection)
        await queries("accounts").insert_recovery_codes(
            connection, hashes=[self._recovery_hash(user_id, code) for code in made]
        )
        half = _RECOVERY_LENGTH // 2
        return [f"{code[:half]}-{code[half:]}" for code in made]

    async def _take_code(self, connection: Connection, user_id: UUID, code: str) -> bool:
        row = await queries("accounts").factor(connection)
        if row is None:
            return False
        step = matching_step(self._unseal(row["sealed_secret"], user_id), code, at=self._clock())
        if step is None:
            return False
        taken: int = await queries("accounts").take_step(connection, step=step)
        return taken == 1

    def _recovery_hash(self, user_id: UUID, code: str) -> bytes:
        return keyed_hash(self._pepper, "recovery", f"{user_id}\0{code}")

    def _seal(self, secret: str, user_id: UUID) -> bytes:
        return self._sealer.seal(secret, bound_to=user_id.bytes)

    def _unseal(self, sealed: bytes, user_id: UUID) -> str:
        return self._sealer.unseal(bytes(sealed), bound_to=user_id.bytes)


def matching_step(secret: str, code: str, *, at: datetime) -> int | None:
    """Return the time step whose code this is, one before or after `at` at most."""
    totp = pyotp.TOTP(secret)
    now = totp.timecode(at)
    for step in range(now - _DRIFT_STEPS, now + _DRIFT_STEPS + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            return step
    return None


def wrong_code() -> ApiError:
    """The refusal of a code."""
    return ApiError(
        400, "auth.wrong_code", "The code is wrong or was used before. Wait for the next one."
    )


def _enrolment(secret: str, *, email: str) -> Enrolment:
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
    return Enrolment(secret, uri)


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code).upper()
