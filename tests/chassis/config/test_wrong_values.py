"""What a sentence about a wrong value repeats of it."""

from __future__ import annotations

import pytest

from sidecars.chassis.config import wrong_values
from sidecars.chassis.config.setting_types import comma_separated, secret, text
from sidecars.chassis.config.urls import url


@pytest.mark.parametrize(
    "value",
    [
        *("127.0.0.1:1", "app:8080", "localhost:80", "[::1]:80", "orders.shop.svc.cluster.local.:80"),
        *("grpc://orders:50051", "a:1, b:2", "a-long-name-of-a-service.shop:80"),
    ],
)
def test_a_wrong_url_that_is_plainly_a_host_and_a_port_is_shown(value: str) -> None:
    told = wrong_values.sentence("DEMO_URL", value, comma_separated(url("http")), "expected a URL")

    assert told == f"DEMO_URL={value}: expected a URL"


@pytest.mark.parametrize(
    "value",
    [
        *("hunter2", "hunter2@app:80", "joe:hunter2@app:80", "app:80/hunter2", "app:80?hunter2", "app:80#hunter2"),
        *("joe:hunter2", "http://hunter2", "a:1,hunter2", "hunter2hunter2hunter2:443", "x.hunter2hunter2hunter2:443"),
        *("app:80\nhunter2", "app:80 hunter2", "HUNTER2:80"),
    ],
)
def test_a_wrong_url_of_any_other_form_may_be_a_secret_and_is_hidden(value: str) -> None:
    told = wrong_values.sentence("DEMO_URL", value, comma_separated(url("http")), "expected a URL")

    assert told == "DEMO_URL=***: expected a URL"


def test_only_a_url_is_shown_for_its_form() -> None:
    assert wrong_values.sentence("DEMO_TOKEN", "app:80", secret, "wrong") == "DEMO_TOKEN=***: wrong"
    assert wrong_values.sentence("DEMO_TEXT", "app:80", text, "wrong") == "DEMO_TEXT=app:80: wrong"
