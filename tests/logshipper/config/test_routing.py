"""INPUTS: the sinks of each input, and the mistakes that end the start."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.config import routing
from sidecars.logshipper.settings import Settings

TWO = {
    "LOGSHIPPER_APP_PATHS": "/logs/app.log",
    "LOGSHIPPER_ACCESS_PATHS": "/logs/access.log",
    "LOGSHIPPER_LOKI_SINK": "stdout:",
    "LOGSHIPPER_AUDIT_SINK": "file:///audit",
}


def routes(**more: str) -> dict[str, tuple[str, ...]]:
    found = load(Settings, {**TWO, **{f"LOGSHIPPER_{name}": value for name, value in more.items()}})
    return routing.sinks_of_inputs(found.inputs, found.sinks)


def test_each_sink_gets_all_inputs_unless_it_names_some() -> None:
    assert routes() == {"access": ("audit", "loki"), "app": ("audit", "loki")}
    assert routes(AUDIT_INPUTS="Access") == {"access": ("audit", "loki"), "app": ("loki",)}
    assert routes(INPUTS="access", LOKI_INPUTS="app") == {"access": ("audit",), "app": ("loki",)}


def test_the_input_without_a_name_is_called_default() -> None:
    one = {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_SINK": "stdout:", "LOGSHIPPER_INPUTS": "default"}
    found = load(Settings, one)
    assert routing.sinks_of_inputs(found.inputs, found.sinks) == {"default": ("default",)}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"AUDIT_INPUTS": "acess"}, "LOGSHIPPER_AUDIT_INPUTS names acess, and there is no such input: there is access"),
        ({"INPUTS": "access"}, "LOGSHIPPER_APP_PATHS is read for no sink: name app in the INPUTS of one"),
        ({"AUDIT_INPUTS": "app,,"}, "LOGSHIPPER_AUDIT_INPUTS"),
        ({"AUDT_INPUTS": "app"}, "LOGSHIPPER_AUDT_INPUTS"),
        ({"AUDIT_SINK_KEEP": "("}, "LOGSHIPPER_AUDIT_SINK_KEEP"),
    ],
)
def test_a_name_that_is_wrong_and_an_input_that_nobody_gets_end_the_start(more: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        routes(**more)
    assert sentence in str(wrong.value)


def test_labels_are_counted_for_loki_only_where_it_gets_them() -> None:
    many = {"APP_LABELS": ",".join(f"l{number}=x" for number in range(13)), "LOKI_SINK": "loki+http://loki"}
    with pytest.raises(SettingsError, match="more than 12 labels"):
        routes(**many)
    routes(**many, LOKI_INPUTS="access")
