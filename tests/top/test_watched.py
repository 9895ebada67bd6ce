"""The address of a sidecar."""

from __future__ import annotations

import pytest

from sidecars.top.watched import Watched


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://127.0.0.1:9912", "http://127.0.0.1:9912/status?compact"),
        ("http://[::1]:9912/", "http://[::1]:9912/status?compact"),
        ("http://h:1/pods/shop:9912/proxy", "http://h:1/pods/shop:9912/proxy/status?compact"),
        ("http://h:1/pods/shop:9912/proxy/?a=b#c", "http://h:1/pods/shop:9912/proxy/status?compact"),
    ],
)
def test_a_sidecar_is_asked_below_its_address_also_behind_a_proxy(url: str, asked: str) -> None:
    assert str(Watched(url).base.join("status?compact")) == asked
