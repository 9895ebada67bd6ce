"""Bodies of the dialects of JSON, judged by the demands of their schemas."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest

from sidecars.adapter.verdict.dialects import render_verdict
from sidecars.adapter.verdict.verdict import STATUSES, Status, combine_apps
from tests.adapter.verdicts import VERDICTS, document

# -- health+json: draft-inadarei-api-health-check-06 ---------------------------------------------------------------

HEALTH_JSON = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["pass", "fail", "warn"]},
        "notes": {"type": "array", "items": {"type": "string"}},
        "output": {"type": "string"},
        "checks": {
            "type": "object",
            "propertyNames": {"pattern": "^[^:]+(:[^:]+)?$"},
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "status": {"enum": ["pass", "fail", "warn"]},
                        "observedValue": {},
                        "output": {"type": "string"},
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize("status", STATUSES)
def test_health_json_is_what_the_draft_demands(status: Status) -> None:
    response = render_verdict(VERDICTS[status], "health+json")
    found = json.loads(response.body)

    assert response.headers["Content-Type"] == "application/health+json"
    jsonschema.validate(found, HEALTH_JSON)
    assert found["status"] == status
    assert ("output" in found) == (status != "pass"), "the draft: output should be omitted for a pass"
    assert found["checks"]["db"] == [{"status": "pass", "observedValue": 1, "wanted": "== 1"}]


def test_a_check_of_one_of_several_apps_is_component_and_measurement() -> None:
    found = document("health+json", combine_apps({"shop": VERDICTS["pass"], "cart": VERDICTS["fail"]}))

    jsonschema.validate(found, HEALTH_JSON)
    assert {"shop:db", "cart:db", "cart:memory", "cart:queue"} == set(found["checks"])


# -- spring -------------------------------------------------------------------------------------------------------

SPRING: dict[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["UP", "DOWN", "OUT_OF_SERVICE", "UNKNOWN"]},
        "details": {"type": "object"},
        "components": {"type": "object", "additionalProperties": {"$ref": "#"}},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("status", STATUSES)
def test_spring_is_what_its_actuator_documents(status: Status) -> None:
    response = render_verdict(VERDICTS[status], "spring")
    found = json.loads(response.body)

    assert response.headers["Content-Type"] == "application/vnd.spring-boot.actuator.v3+json"
    jsonschema.validate(found, SPRING)
    assert found["status"] == ("DOWN" if status == "fail" else "UP")


def test_springs_components_of_several_apps_are_nested() -> None:
    found = document("spring", combine_apps({"shop": VERDICTS["pass"], "cart": VERDICTS["fail"]}))

    jsonschema.validate(found, SPRING)
    assert found["components"]["shop"]["status"] == "UP"
    assert found["components"]["cart"]["status"] == "DOWN"
    assert found["components"]["cart"]["components"]["queue"]["details"]["reason"] == "no series queue_length"


# -- microprofile: the demands of the schema in MicroProfile Health's TCK, and of section 3 of its specification ----

MICROPROFILE = {
    "type": "object",
    "required": ["status", "checks"],
    "additionalProperties": False,
    "properties": {
        "status": {"enum": ["UP", "DOWN"]},
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "status"],
                "properties": {
                    "name": {"type": "string"},
                    "status": {"enum": ["UP", "DOWN"]},
                    "data": {"type": "object", "additionalProperties": {"type": ["string", "boolean", "number"]}},
                },
            },
        },
    },
}


@pytest.mark.parametrize("status", STATUSES)
def test_microprofile_is_what_its_schema_demands(status: Status) -> None:
    found = document("microprofile", VERDICTS[status])

    jsonschema.validate(found, MICROPROFILE)
    assert found["status"] == ("DOWN" if status == "fail" else "UP")
    assert found["checks"][0] == {"name": "db", "status": "UP", "data": {"value": 1, "wanted": "== 1"}}
