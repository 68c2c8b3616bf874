"""What the settings page makes of headers and secrets."""

from __future__ import annotations

import pytest

from api.web.views.account import qr_picture
from api.web.views.devices import device_name


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
         "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
         "like Gecko) Version/19.0 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("something of our own", "something of our own"),
        ("", "Unknown device"),
    ],
)  # fmt: skip
def test_a_device_is_named_as_people_call_it(agent: str, name: str) -> None:
    assert device_name(agent) == name


def test_a_qr_code_carries_no_style_script_or_text() -> None:
    picture = str(qr_picture('otpauth://totp/BeTrace:a"><script>@b?secret=ABC'))
    assert picture.startswith("<svg ")
    assert not any(part in picture for part in ("style", "script", "otpauth", "<title"))
