"""Names of what is looked for. A policy speaks of these; custom patterns add `custom.<name>`."""

from __future__ import annotations

from typing import Final

PRIVATE_KEY: Final = "private_key"
JWT: Final = "jwt"
API_KEY: Final = "api_key"
PASSWORD: Final = "password"
AUTHORIZATION: Final = "authorization"
PAYMENT_CARD: Final = "payment_card"
IBAN: Final = "iban"
NATIONAL_ID: Final = "national_id"
EMAIL: Final = "email"
PHONE: Final = "phone"
IP_ADDRESS: Final = "ip_address"
PERSON_NAME: Final = "person_name"
POSTAL_ADDRESS: Final = "postal_address"
BIRTH_DATE: Final = "birth_date"
LOCATION: Final = "location"
USER_ID: Final = "user_id"
DB_LITERAL: Final = "db_literal"
DB_PARAMETER: Final = "db_parameter"

CHOSEN: Final = "chosen"
"""Counted where a policy names the key, or does not allow it, and the key says nothing itself."""

CUSTOM_PREFIX: Final = "custom."

BY_WEIGHT: Final = (
    PRIVATE_KEY,
    AUTHORIZATION,
    JWT,
    API_KEY,
    PASSWORD,
    IBAN,
    PAYMENT_CARD,
    NATIONAL_ID,
    EMAIL,
    PHONE,
    BIRTH_DATE,
    POSTAL_ADDRESS,
    PERSON_NAME,
    LOCATION,
    USER_ID,
    IP_ADDRESS,
    DB_PARAMETER,
    DB_LITERAL,
)
"""All of them; where two overlap the earlier gives the strategy for both."""

SECRETS: Final = frozenset({PRIVATE_KEY, AUTHORIZATION, JWT, API_KEY, PASSWORD})
"""Kinds of which no part may be shown, not even by a mask."""

NUMBERS: Final = frozenset({PAYMENT_CARD, NATIONAL_ID, PHONE, IP_ADDRESS})
"""Kinds that ids, versions and measurements are taken for by accident."""
