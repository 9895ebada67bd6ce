"""The form of all health documents: unique names of components, bounded size."""

from __future__ import annotations

from typing import Any

import pytest

from sidecars.adapter.health.documents import Component, DocumentOptions, HealthDocument, with_unique_names
from sidecars.adapter.health.json_documents import read_json
from sidecars.adapter.health.strict_json import NotAHealthDocument


def statuses(health: HealthDocument) -> dict[str, str]:
    return {part.name: part.status for part in health.components}


@pytest.mark.parametrize("document", [{"a": {"healthy": True}}, {"status": "UP"}, {"status": "warn", "checks": {}}])
def test_a_document_and_a_status_that_contradict_each_other_are_as_bad_as_the_worse(document: Any) -> None:
    assert read_json(document, 200).up
    assert read_json(document, 503).status == "fail"
    assert read_json({"status": "DOWN"}, 200).status == "fail"


@pytest.mark.parametrize("count", [2_000, 8_000])
def test_thousands_of_checks_of_one_name_are_named_in_one_pass(count: int) -> None:
    class Name(str):
        """A name that counts the lookups of it."""

        __slots__ = ()
        looked_up = 0

        def __hash__(self) -> int:
            Name.looked_up += 1
            return super().__hash__()

        __eq__ = str.__eq__

    parts = [Component(Name("a"), "pass") for _ in range(count)]
    Name.looked_up = 0

    names = [part.name for part in with_unique_names(parts, 1_000_000)]

    assert names == ["a", *(f"a#{number}" for number in range(2, count + 1))]
    assert Name.looked_up <= 4 * count


def test_a_document_of_more_components_than_series_have_room_for_is_refused_before_it_is_translated() -> None:
    document = {"status": "UP", "checks": [{"name": "a", "status": "UP"}] * 101}

    assert len(read_json(document, 200, DocumentOptions(max_series=606)).components) == 101
    with pytest.raises(NotAHealthDocument, match="ADAPTER_MAX_SERIES"):
        read_json(document, 200, DocumentOptions(max_series=605))


def test_two_components_of_one_name_keep_apart() -> None:
    document = {"status": "UP", "checks": [{"name": name, "status": "UP"} for name in ("a", "a", "a#2", "a")]}

    assert list(statuses(read_json(document, 200))) == ["a", "a#2", "a#2#2", "a#3"]
