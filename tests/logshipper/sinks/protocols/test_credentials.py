"""The header fields that identify a sink: one Authorization, whatever is set."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.setting_types import fixed_secret
from sidecars.chassis.config.settings import load
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.protocols.credentials import Credentials


@pytest.mark.parametrize(("auth", "stays"), [("gcp", False), ("none", True)])
def test_a_signer_replaces_the_authorization_of_the_environment(auth: str, *, stays: bool) -> None:
    environ = {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_SINK": "otlp+https://collector", "LOGSHIPPER_SINK_AUTH": auth}
    sink = load(Settings, environ).sinks["default"]
    found = dict(Credentials(sink, fixed_secret("authorization=old,X-Tenant=shop")).headers())
    assert found == {"X-Tenant": "shop", **({"authorization": "old"} if stays else {})}
