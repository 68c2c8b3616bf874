"""What attributes are called when their values are personal or secret, whatever these look like.

A key is read as words: `billing.cardNumber`, `billing-card_number` and `BILLING_CARD_NUMBER` are
`billing card number`. A phrase of the table is looked for among them, its words written apart or
together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from udfs.redaction import kinds
from udfs.redaction.detectors import STRING_START, whole_key_gate

_BREAKS = re.compile(
    r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])"
)
_SEPARATORS = r" ._/:\[\]-"
_IS_NO_KEY = re.compile(r"""[\x00-\x1f\[\]{}"'=]""")
_SEPARATED = re.compile(f"[{_SEPARATORS}]+")

ASSIGNS = rb"(?:\\?[\"']\s{0,3}:|=)"
"""What stands behind a key within a text: of JSON, of a query or of a line of a log."""


class Place(Enum):
    """Where in a key a phrase must stand."""

    ANYWHERE = "anywhere"
    LAST = "last"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class KeyPhrase:
    """A phrase of the table. A space is the border of two words, `?` behind a letter as in RE2.

    short: too short, or too often within other words, to be looked for amidst letters; such a one
        is only looked for as the last word.
    """

    kind: str
    phrase: str
    place: Place = Place.ANYWHERE
    short: bool = False

    def exact_pattern(self) -> str:
        """Return the pattern for keys that were read as words."""
        phrase = self.phrase.replace(" ", " ?")
        match self.place:
            case Place.ANYWHERE:
                return f"(?:^| )(?:{phrase})(?:$| )"
            case Place.LAST:
                return f"(?:^| )(?:{phrase})$"
            case Place.WHOLE:
                return f"^(?:{phrase})$"

    def gate_pattern(self) -> bytes:
        """Return what is in any serialized span with such a key (see `detectors`).

        Behind a key stands the tag of its value (12), or what `members` knows keys in texts by.
        """
        phrase = self.phrase.replace(" ", f"[{_SEPARATORS}]*").encode()
        if self.place is Place.WHOLE:
            return rb"(?i)%b|[^0-9A-Za-z]%b%b" % (whole_key_gate(self.phrase), phrase, ASSIGNS)
        rest = f"[{_SEPARATORS}]*".encode() if self.place is Place.LAST else rb"[\x20-\xff]*"
        ends = rb"%b(?:\x12|%b)" % (rest, ASSIGNS)
        if not self.short:
            return rb"(?i:%b)%b" % (phrase, ends)
        # At the beginning of a word: of a string, behind a sign, or as camel case has it.
        upper, tail = phrase[:1].upper(), phrase[1:]
        begins = rb"(?:%b|[^A-Za-z])(?i:%b)" % (STRING_START, phrase)
        camel = rb"[A-Za-z]%b%b|[a-z]%b(?i:%b)" % (upper, tail, upper, tail)
        return rb"(?:%b|%b)%b" % (begins, camel, ends)


def _phrases(
    kind: str, *phrases: str, place: Place = Place.ANYWHERE, short: bool = False
) -> tuple[KeyPhrase, ...]:
    return tuple(KeyPhrase(kind, phrase, place, short) for phrase in phrases)


_PEOPLE = (
    "customer",
    "employee",
    "patient",
    "person",
    "contact",
    "account holder",
    "card ?holder",
    "passenger",
    "recipient",
    "guest",
    "student",
    "buyer",
    "payer",
    "payee",
    "beneficiary",
    "subscriber",
    "applicant",
)
_PEOPLE_BY_PLACE = ("user", "home", "billing", "shipping", "delivery", "mailing", "postal")

PHRASES: tuple[KeyPhrase, ...] = (
    *_phrases(kinds.PRIVATE_KEY, "private key", "signing key", "encryption key"),
    *_phrases(kinds.AUTHORIZATION, "authorization", "cookies?", place=Place.LAST),
    *_phrases(kinds.API_KEY, "api key", "access key(?: id)?", "secret (?:access )?key"),
    *_phrases(
        kinds.API_KEY,
        "(?:access|auth|refresh|session|security|id|bearer|csrf|xsrf|api|oauth|device) token",
        "session cookie",
    ),
    *_phrases(kinds.API_KEY, "token", "credentials?", place=Place.LAST),
    *_phrases(kinds.PASSWORD, "pass ?wd", "pass ?phrase", "passwort", "secret value"),
    *_phrases(kinds.PASSWORD, "passwords?", "secrets?", place=Place.LAST),
    *_phrases(kinds.PASSWORD, "password (?:hash|digest|salt|value|text|confirm|confirmation)"),
    *_phrases(kinds.PASSWORD, "pwd", "cvv", "cvc", "otp", place=Place.LAST, short=True),
    *_phrases(kinds.PASSWORD, "pin code", "pin number", "card pin", "security code", "otp code"),
    *_phrases(kinds.PAYMENT_CARD, "card (?:number|num|no|pan)", "credit card", "debit card"),
    *_phrases(kinds.PAYMENT_CARD, "cc (?:number|num|no)", "primary account number"),
    *_phrases(kinds.PAYMENT_CARD, "pan", place=Place.WHOLE),
    *_phrases(kinds.IBAN, "iban", place=Place.LAST, short=True),
    *_phrases(kinds.IBAN, "bank account", "account (?:number|num|no)", "routing number"),
    *_phrases(kinds.IBAN, "sort code"),
    *_phrases(
        kinds.NATIONAL_ID,
        "social security",
        "national (?:id|insurance|identity|identification)",
        "tax (?:id|number|payer id|file number)",
        "steuer (?:id|nummer|identifikationsnummer)",
        "personnummer",
        "aadhaar",
        "nhs number",
        "passport",
        "driver ?s? licen[cs]e",
        "driving licen[cs]e",
        "identity card",
        "id card",
    ),
    *_phrases(
        kinds.NATIONAL_ID,
        *("ssn", "nino", "pesel", "bsn", "cpf", "curp", "hetu"),
        place=Place.LAST,
        short=True,
    ),
    *_phrases(kinds.NATIONAL_ID, "ssn (?:number|num|no|last)", "cpf (?:number|num|no)"),
    *_phrases(kinds.EMAIL, "e ?mail", "mail address", place=Place.LAST),
    *_phrases(kinds.EMAIL, "e ?mail (?:address|addr|to|from|cc|bcc|recipient|sender)(?:es|s)?"),
    *_phrases(kinds.PHONE, "phone", "telephone", "msisdn", place=Place.LAST),
    *_phrases(kinds.PHONE, "mobile", "cell", "fax", place=Place.LAST, short=True),
    *_phrases(kinds.PHONE, "(?:phone|mobile|cell|fax) (?:number|num|no|nr)s?", "cell phone"),
    *_phrases(kinds.BIRTH_DATE, "birth (?:date|day|year)", "date of birth", "geburtsdatum"),
    *_phrases(kinds.BIRTH_DATE, "dob", place=Place.LAST, short=True),
    *_phrases(kinds.POSTAL_ADDRESS, "street", "post(?:al)? code", "zip code", "address line"),
    *_phrases(kinds.POSTAL_ADDRESS, "zip", "city", place=Place.LAST, short=True),
    *_phrases(
        kinds.POSTAL_ADDRESS,
        *(f"{who} addr(?:ess)?" for who in (*_PEOPLE, *_PEOPLE_BY_PLACE, "street", "residential")),
    ),
    *_phrases(kinds.POSTAL_ADDRESS, "address", place=Place.WHOLE),
    *_phrases(
        kinds.PERSON_NAME,
        "(?:first|last|full|given|family|middle|maiden|birth|legal) name",
        "surname",
        "vorname",
        "nachname",
        *(f"{who} name" for who in _PEOPLE),
    ),
    *_phrases(kinds.LOCATION, "latitude", "longitude"),
)
"""Names of attributes, heaviest kind first; the first that fits decides."""

_NAME_IN_MAP = KeyPhrase(kinds.PERSON_NAME, "name", Place.WHOLE)
_PERSON_MAP = re.compile(f"(?:^| )(?:{'|'.join((*_PEOPLE, 'user'))})s?$")
_EXACT = tuple((phrase, re.compile(phrase.exact_pattern())) for phrase in PHRASES)

GATES: tuple[tuple[str, bytes], ...] = tuple(
    (phrase.kind, phrase.gate_pattern()) for phrase in (*PHRASES, _NAME_IN_MAP)
)
"""(kind, pattern over serialized bytes)."""


def words_of(key: str) -> str:
    """Return a key as words in lower case with one space between them."""
    return _SEPARATED.sub(" ", _lower(_BREAKS.sub(" ", key))).strip()


@lru_cache(maxsize=4096)
def kind_of_key(key: str, parent: str = "") -> str | None:
    """Return what the values of such a key are, or None if the key does not tell.

    parent: the key of the map that it stands in: `name` in a `customer` is a person's. A key with
    control characters, brackets, quotes or an equals sign tells nothing: it is a text.
    """
    if _IS_NO_KEY.search(key):
        return None
    lower, words = _lower(key), words_of(key)
    for phrase, pattern in _EXACT:
        if pattern.search(lower if phrase.place is Place.WHOLE else words):
            return phrase.kind
    if lower == "name" and _PERSON_MAP.search(words_of(parent)):
        return kinds.PERSON_NAME
    return None


def _lower(key: str) -> str:
    """Lower ASCII alone, as gates do: there are letters beyond it that become an ASCII one."""
    return key.encode(errors="surrogatepass").lower().decode(errors="surrogatepass")
