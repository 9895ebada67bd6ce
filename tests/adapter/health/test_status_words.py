"""Status words of all dialects, and those of the settings."""

from __future__ import annotations

import pytest

from sidecars.adapter.health.documents import DocumentOptions, HealthDocument
from sidecars.adapter.health.json_documents import read_json
from sidecars.adapter.health.status_words import BUILT_IN, StatusWords


def statuses(health: HealthDocument) -> dict[str, str]:
    return {part.name: part.status for part in health.components}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("UP", "pass"), ("pass", "pass"), ("ok", "pass"), ("passing", "pass"), (True, "pass"), ("Healthy", "pass"),
        ("warn", "warn"), ("WARNING", "warn"), ("Degraded", "warn"),
        ("fail", "fail"), ("error", "fail"), ("down", "fail"), ("critical", "fail"), ("OUT_OF_SERVICE", "fail"),
        (False, "fail"), ("unknown", "unknown"), ("out of service", "fail"),
        ("whatever", None), (1, None), (None, None), ([], None),
    ],
)  # fmt: skip
def test_the_words_of_all_dialects_are_known(word: object, status: str | None) -> None:
    assert BUILT_IN.status(word) == status


WORDS = StatusWords({"success": 1.0, "restricted": 0.5, "broken": 0.0, "7": 1.0})
OPTIONS = DocumentOptions(status_words=WORDS)


@pytest.mark.parametrize(
    ("word", "status"),
    [("SUCCESS", "pass"), ("Restricted", "warn"), ("broken", "fail"), (7, "pass"), ("UP", "pass"), ("else", "unknown")],
)
def test_words_of_the_settings_are_understood_in_every_dialect(word: object, status: str) -> None:
    part = {"status": word}
    for document in (
        {"status": "UP", "components": {"x": part}},
        {"status": "UP", "components": {"x": word}},
        {"status": "UP", "checks": [{"name": "x", **part}]},
        {"status": "UP", "checks": {"x": [part]}},
        {"status": "UP", "checks": {"x": word}},
        {"status": "UP", "entries": {"x": part}},
        [{"CheckID": "x", "Status": word}, {"CheckID": "y", "Status": "passing"}],
    ):
        assert statuses(read_json(document, 200, OPTIONS))["x"] == status
    assert read_json({"status": word, "components": {"a": {"status": "UP"}}}, 200, OPTIONS).status == status


def test_a_status_that_is_not_known_is_unknown_with_its_reason_and_the_parts_are_kept() -> None:
    document = {"status": "UP_WITH_CAUTION", "components": {"db": {"status": "UP"}, "mq": {"status": "SLOWISH"}}}

    health = read_json(document, 200)

    assert health.status == "unknown"
    assert statuses(health) == {"db": "pass", "mq": "unknown"}
    assert health.detail.startswith('its status is "UP_WITH_CAUTION", which is not known: ADAPTER_STATUS_VALUES')
    assert "CAUTION" not in health.problem
    assert health.components[1].reason == 'its status is "SLOWISH", which is not known'
