"""What callers are told of their limits.

Source: draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from api.limits.buckets import Answer, Ask, Level


def rate_limit_headers(answer: Answer) -> Mapping[str, str]:
    """Return RateLimit-Policy and RateLimit, nothing where nothing is limited.

    q: units a window of w seconds; r: units left; t: seconds until all are there again.
    """
    if not answer.levels:
        return {}
    return {
        "RateLimit-Policy": ", ".join(_policy(level.ask) for level in answer.levels),
        "RateLimit": ", ".join(_left(level) for level in answer.levels),
    }


def _policy(ask: Ask) -> str:
    window_s = max(1, math.ceil(ask.quota.window_s))
    return f'"{ask.policy}";q={ask.quota.units:.0f};w={window_s}'


def _left(level: Level) -> str:
    return f'"{level.ask.policy}";r={level.units};t={math.ceil(level.full_in_s)}'
