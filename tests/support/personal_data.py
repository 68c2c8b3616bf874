"""Personal data and secrets made up by a seed, each as what it is, and texts that only look so."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from random import Random
from urllib.parse import quote

from udfs.redaction import kinds

_ALNUM = string.ascii_letters + string.digits
_NAMES = ("ada", "grace", "edsger", "barbara", "donald", "frances", "alan", "margaret", "radia")
_DOMAINS = ("example.com", "mail.example.org", "corp.example.co.uk", "exämple.de", "a.b.example.io")
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def chosen(rng: Random, alphabet: str, count: int) -> str:
    """Return so many characters."""
    return "".join(rng.choice(alphabet) for _ in range(count))


def digits(rng: Random, count: int) -> str:
    return chosen(rng, string.digits, count)


def with_luhn(body: str) -> str:
    """Return digits with the check digit behind them."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (1 if place & 1 else 2)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def email(rng: Random) -> str:
    sign = rng.choice([".", "_", "+", "-", ""])
    return f"{rng.choice(_NAMES)}{sign}{digits(rng, rng.randint(1, 4))}@{rng.choice(_DOMAINS)}"


def phone(rng: Random) -> str:
    area, middle, last = f"{rng.randint(201, 989)}", f"{rng.randint(201, 989)}", digits(rng, 4)
    return rng.choice(
        [
            f"+1 {area} {middle} {last}",
            f"+1{area}{middle}{last}",
            f"({area}) {middle}-{last}",
            f"{area}-{middle}-{last}",
            f"+49 151 {digits(rng, 8)}",
            f"+44 20 7{digits(rng, 3)} {digits(rng, 4)}",
            f"+33 6 {' '.join(digits(rng, 2) for _ in range(4))}",
            f"+91-9{digits(rng, 4)}-{digits(rng, 5)}",
            f"0049 151 {digits(rng, 4)} {digits(rng, 4)}",
            f"06 {' '.join(digits(rng, 2) for _ in range(4))}",
            f"030 {rng.randint(100, 999)}{rng.randint(0, 9)} {rng.randint(100, 999)}",
        ]
    )


def card(rng: Random) -> str:
    prefix, length = rng.choice(
        [("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16)]
    )
    number = with_luhn(prefix + digits(rng, length - len(prefix) - 1))
    form = rng.choice(["", " ", "-"])
    if length == 15:
        return form.join((number[:4], number[4:10], number[10:]))
    return form.join(number[at : at + 4] for at in range(0, 16, 4))


def iban(rng: Random) -> str:
    country, body = rng.choice(
        [
            ("DE", digits(rng, 18)),
            ("GB", "NWBK" + digits(rng, 14)),
            ("FR", digits(rng, 23)),
            ("NL", "ABNA" + digits(rng, 10)),
            ("NO", digits(rng, 11)),
        ]
    )
    number = "".join(str(int(c, 36)) for c in f"{body}{country}00")
    whole = f"{country}{98 - int(number) % 97:02}{body}"
    if rng.random() < 0.5:
        return whole
    return " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))


def national_id(rng: Random) -> str:
    def ssn() -> str:
        return f"{rng.randint(100, 665)}-{rng.randint(1, 99):02}-{rng.randint(1, 9999):04}"

    def nino() -> str:
        return f"AB {digits(rng, 2)} {digits(rng, 2)} {digits(rng, 2)} C"

    def french() -> str:
        body = f"1{digits(rng, 2)}0{rng.randint(1, 9)}7{rng.randint(0, 5)}{digits(rng, 6)}"
        return f"{body}{97 - int(body) % 97:02}"

    def dni() -> str:
        number = digits(rng, 8)
        return number + _DNI_LETTERS[int(number) % 23]

    def personnummer() -> str:
        day = f"{rng.randint(40, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
        number = with_luhn(day + digits(rng, 3))
        return f"{number[:6]}-{number[6:]}"

    def cpf() -> str:
        body = digits(rng, 8) + "1"
        for size in (9, 10):
            total = sum(int(d) * (size + 1 - at) for at, d in enumerate(body))
            body += str(total * 10 % 11 % 10)
        return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"

    def sin() -> str:
        number = with_luhn(str(rng.randint(1, 7)) + digits(rng, 7))
        return f"{number[:3]}-{number[3:6]}-{number[6:]}"

    return rng.choice([ssn, nino, french, dni, personnummer, cpf, sin])()


def ip(rng: Random) -> str:
    if rng.random() < 0.3:
        return f"2a00:{chosen(rng, '123456789abcdef', 3)}::{chosen(rng, '123456789abcdef', 4)}"
    first = rng.choice([8, 17, 31, 52, 81, 93, 145, 185, 212])
    return f"{first}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


def jwt(rng: Random) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(f'{{"sub":"{digits(rng, 9)}"}}'.encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{chosen(rng, _ALNUM + '_-', 42)}A"


def api_key(rng: Random) -> str:
    return rng.choice(
        [
            f"AKIA{chosen(rng, string.ascii_uppercase + string.digits, 16)}",
            f"ghp_{chosen(rng, _ALNUM, 36)}",
            f"github_pat_{chosen(rng, _ALNUM, 30)}",
            f"sk_live_{chosen(rng, _ALNUM, 24)}",
            f"xoxb-{digits(rng, 11)}-{chosen(rng, _ALNUM, 24)}",
            f"AIza{chosen(rng, _ALNUM, 35)}",
            f"betrace_live_{chosen(rng, _ALNUM, 49)}",
            f"glpat-{chosen(rng, _ALNUM, 20)}",
            f"npm_{chosen(rng, _ALNUM, 36)}",
            f"sk-proj-{chosen(rng, _ALNUM, 40)}7",
        ]
    )


def private_key(rng: Random) -> str:
    lines = "\n".join(chosen(rng, _ALNUM + "+/", 64) for _ in range(3))
    kind = rng.choice(["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED "])
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def password(rng: Random) -> str:
    """Return a password; it is found by what stands around it (see IN_CONTEXT)."""
    return f"{chosen(rng, _ALNUM, 10)}{rng.choice('!.~')}{digits(rng, 2)}"


MAKERS: dict[str, Callable[[Random], str]] = {
    kinds.EMAIL: email,
    kinds.PHONE: phone,
    kinds.PAYMENT_CARD: card,
    kinds.IBAN: iban,
    kinds.NATIONAL_ID: national_id,
    kinds.IP_ADDRESS: ip,
    kinds.JWT: jwt,
    kinds.API_KEY: api_key,
    kinds.PRIVATE_KEY: private_key,
}
"""Kind → what looks like it wherever it stands."""

IN_CONTEXT: dict[str, tuple[str, ...]] = {
    kinds.PASSWORD: (
        "postgres://app:{}@db.internal:5432/shop",
        "https://ada:{}@host.internal/x",
        "login failed for user=ada password={}",
        '{{"password": "{}", "remember": true}}',
        "https://host.internal/cb?client_secret={}&state=1",
        "create role app password '{}'",
        "client_secret: {}",
    ),
    kinds.AUTHORIZATION: ("Authorization: Bearer {}", "curl -H 'authorization: bearer {}'"),
}
"""Kind → texts with a place for a secret."""

AROUND = (
    "{}",
    "order of {} was paid",
    "GET /x?q={}&page=2",
    '{{"value":"{}","n":1}}',
    "({})",
    "first line\n{}\nlast",
    "key={};",
    "<a>{}</a>",
    "[{}]",
    "id:{}, next",
)
"""Texts with a place for something that is found anywhere."""


def encodings(secret: str) -> dict[str, str]:
    """Return a secret as others write it."""
    raw = secret.encode()
    return {
        "plain": secret,
        "percent": quote(secret, safe=""),
        "percent, all": "".join(f"%{byte:02x}" for byte in raw),
        "percent twice": quote(quote(secret, safe=""), safe=""),
        "base64": base64.b64encode(raw).decode(),
        "base64url": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
        "base64 of JSON": base64.b64encode(f'{{"value":"{secret}"}}'.encode()).decode(),
        "base64, percent": quote(base64.b64encode(raw).decode(), safe=""),
        "JSON escapes": "".join(f"\\u{ord(c):04x}" if not c.isalnum() else c for c in secret),
    }


def look_alikes(rng: Random) -> list[str]:
    """Return texts of traces that are nobody's data, though something in them looks so."""
    hex_digits = "0123456789abcdef"
    return [
        chosen(rng, hex_digits, 32),
        chosen(rng, hex_digits, 16),
        "-".join(chosen(rng, hex_digits, n) for n in (8, 4, 4, 4, 12)),
        f"17642{digits(rng, 8)}",
        f"17642{digits(rng, 14)}",
        f"0.{digits(rng, 16)}",
        f"2026-11-{rng.randint(10, 28)}T12:{rng.randint(10, 59)}:07.{digits(rng, 9)}Z",
        f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}:8080",
        f"192.168.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
        f"172.{rng.randint(16, 31)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
        "127.0.0.1",
        "fe80::1ff:fe23:4567:890a",
        f"v{rng.randint(1, 9)}.{rng.randint(0, 20)}.{rng.randint(0, 9)}.{rng.randint(0, 9)}",
        f"Mozilla/5.0 (X11) Chrome/{rng.randint(90, 140)}.0.0.0 Safari/537.36",
        f"/orders/{rng.randint(10_000, 99_999_999)}/items/{rng.randint(1, 99)}",
        f"/api/v2/resource-{rng.randint(1, 999)}",
        f"sku-{digits(rng, 4)}-{digits(rng, 3)}",
        f"ORD-{digits(rng, 10)}",
        f"com.example.shop.Order{rng.randint(1, 99)}Handler$1@{chosen(rng, hex_digits, 8)}",
        f"sha256:{chosen(rng, hex_digits, 64)}",
        f"arn:aws:sqs:eu-west-1:{digits(rng, 12)}:orders",
        f"npm install @scope/pkg@{rng.randint(1, 9)}.2.3",
        f"us-east-1-{digits(rng, 3)}",
        f"{rng.randint(1, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}",
        "std::vector<std::string>::push_back",
        "SELECT id, total FROM orders WHERE id = ? AND state = ?",
        "java.lang.IllegalStateException: unexpected token: }",
        f"batch {rng.randint(1, 9)}/{rng.randint(10, 99)} took {rng.randint(1, 999)}.5 ms",
        "application/vnd.example+json; charset=utf-8",
        f"1.{rng.randint(1, 9)}.{rng.randint(1, 9)}",
    ]
