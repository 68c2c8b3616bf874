"""How secrets look: keys of known shapes, tokens, passwords beside their names, private keys.

Shapes are those that the issuers publish for secret scanners. A value that follows a word such as
`password=` counts whatever it looks like.
"""

from __future__ import annotations

import base64
import binascii

from udfs.redaction import kinds
from udfs.redaction.detectors import WORD, Detector, goes_on

_KEY_SHAPES = (
    rb"betrace_(?:live|test)_[0-9A-Za-z_-]{20,}",
    rb"(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[0-9A-Z]{16}",
    rb"gh[oprsu]_[0-9A-Za-z]{36,251}",
    rb"github_pat_[0-9A-Za-z_]{22,}",
    rb"gl(?:pat|ptt|rt|dt|soat|cbt)-[0-9A-Za-z_-]{20,}",
    rb"[prs]k_(?:live|test)_[0-9A-Za-z]{10,}",
    rb"whsec_[0-9A-Za-z+/=]{20,}",
    rb"xox[abeoprs]-[0-9A-Za-z-]{10,}",
    rb"xapp-\d-[0-9A-Za-z-]{10,}",
    rb"hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z_/]{20,}",
    rb"AIza[0-9A-Za-z_-]{35}",
    rb"ya29\.[0-9A-Za-z_-]{20,}",
    rb"GOCSPX-[0-9A-Za-z_-]{20,}",
    rb"sk-(?:proj-|svcacct-|ant-|or-)?[0-9A-Za-z_-]{24,}",
    rb"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{16,64}",
    rb"SK[0-9a-f]{32}",
    rb"npm_[0-9A-Za-z]{36}",
    rb"pypi-[0-9A-Za-z_-]{50,}",
    rb"dop_v1_[0-9a-f]{64}",
    rb"hv[sb]\.[0-9A-Za-z_-]{20,}",
    rb"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}",
    rb"key-[0-9a-f]{32}",
)

_SECRET_WORDS = (
    rb"passwords?|passwd|passphrase|passwort|pwd|client[-_.]?secret|shared[-_.]?secret|"
    rb"secret[-_.]?key|api[-_.]?key|access[-_.]?key(?:[-_.]?id)?|private[-_.]?key|"
    rb"(?:access|auth|refresh|session|security|id|api|bearer|csrf|xsrf)[-_.]?token|"
    rb"x-amz-(?:signature|credential|security-token)|x-goog-signature|awsaccesskeyid|cvv|cvc"
)
_SHORT_WORDS = (
    rb"token|sig|signature|pass|auth|pin|otp|code_verifier|sessionid|jsessionid|phpsessid"
)
"""Words that need an equals sign, or quotes as in JSON: a parser complains of `token: }`."""
_QUOTED = rb"\\?\"((?:[^\"\\]|\\[^\"]){1,512})|\\?'((?:[^'\\]|\\[^']){1,512})"
_BARE = rb"([^\s\"'&,;(){}\[\]<>\\]{1,512})"
_ASSIGNED = rb"(?:\\?[\"'])?\s{0,3}(?:=>|:=|==?|:)\s{0,3}"
_NO_SECRETS = frozenset(
    b"null none nil undefined true false ? * ** *** **** ***** ****** xxx xxxx redacted masked "
    b"hidden filtered required optional missing invalid string empty".split()
)


def _secret_value(text: bytes, start: int, end: int) -> int:
    """Refuse what says that there is no value."""
    value = text[start:end].lower()
    if value in _NO_SECRETS or value.startswith((b"$", b"%s", b"{{")) or value.strip(b"*?.") == b"":
        return 0
    return end


def _bearer(text: bytes, start: int, end: int) -> int:
    """Take what no English word would be."""
    value = text[start:end]
    return end if len(value) >= 20 or any(chr(byte).isdigit() for byte in value) else 0


def _basic(text: bytes, start: int, end: int) -> int:
    """Take base64 of `user:password`."""
    value = text[start:end].rstrip(b"=")
    try:
        decoded = base64.b64decode(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        return 0
    return end if b":" in decoded else 0


def _long_key(text: bytes, start: int, end: int) -> int:
    """Take keys of the shape `sk-…` only with a digit: without one they are words with hyphens."""
    value = text[start:end]
    if value.startswith(b"sk-") and not any(chr(byte).isdigit() for byte in value):
        return 0
    return 0 if goes_on(text, end) and not value.endswith(b"=") else end


def _private_key(text: bytes, start: int, end: int) -> int:
    """Take all up to the end of the block; of one that was cut off, all there is."""
    footer = text.find(b"-----END", end)
    if footer < 0:
        return len(text)
    closing = text.find(b"-----", footer + 8)
    return len(text) if closing < 0 else closing + 5


CREDENTIALS = (
    Detector(
        kinds.PRIVATE_KEY,
        rb"-----BEGIN [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        fit=_private_key,
    ),
    Detector(
        kinds.JWT,
        rb"eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]*(?:\.[0-9A-Za-z_-]*){0,2}",
        gate=rb"eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8}",
        before=WORD,
    ),
    Detector(kinds.API_KEY, rb"|".join(_KEY_SHAPES), before=WORD, fit=_long_key),
    Detector(
        kinds.AUTHORIZATION,
        rb"(?i:bearer)(?:\s|%20|\+){1,3}([^\s\"',;<>(){}\[\]\\]{8,})",
        before=WORD,
        fit=_bearer,
    ),
    Detector(
        kinds.AUTHORIZATION,
        rb"(?i:basic)(?:\s|%20|\+){1,3}([0-9A-Za-z+/]{8,}={0,2})",
        before=WORD,
        fit=_basic,
    ),
    Detector(
        kinds.PASSWORD,
        rb"://([^\s/?#\"'@:]*:[^\s/?#\"']{1,256})@",
        gate=rb"://[^\s/?#\"'@:]*:[^\s/?#\"'@]*@",
        fit=_secret_value,
    ),
    Detector(
        kinds.PASSWORD,
        rb"(?i:" + _SECRET_WORDS + rb")" + _ASSIGNED + rb"(?:" + _QUOTED + rb"|" + _BARE + rb")",
        gate=rb"(?i:" + _SECRET_WORDS + rb")" + _ASSIGNED + rb"[^\s&,;(){}\[\]<>]",
        fit=_secret_value,
    ),
    Detector(
        kinds.PASSWORD,
        rb"(?i:"
        + _SHORT_WORDS
        + rb")(?:\\?[\"']\s{0,3}:\s{0,3}(?:"
        + _QUOTED
        + rb")|="
        + _BARE
        + rb")",
        gate=rb"(?i:" + _SHORT_WORDS + rb")(?:\\?[\"']\s{0,3}:\s{0,3}\\?[\"']|=[^\s&,;])",
        before=WORD,
        fit=_secret_value,
    ),
    Detector(  # SQL: create role … password '…', identified by '…'
        kinds.PASSWORD,
        rb"(?i:password|identified\s+by)\s+'([^']{1,512})'",
        fit=_secret_value,
    ),
)
