"""The rules of Grafana's JSON that can be checked without a Grafana, and our own about a dashboard that can be read."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from tests.monitoring.queries import selectors
from tests.support import ROOT
from tools.monitoring.dashboards.catalogue import DASHBOARDS

FOLDER = ROOT / "deploy" / "monitoring" / "dashboards"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
UNITS = {
    *("Bps", "bool_yes_no", "bytes", "dateTimeFromNow", "none"),
    *("percentunit", "reqps", "s", "short"),
}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(name: str) -> dict[str, Any]:
    page: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return page


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


def test_there_is_one_for_each_sidecar_and_one_for_all() -> None:
    assert NAMES == sorted(["overview", "adapter", "ambassador", "logshipper", "warcopier"])


def test_no_two_have_one_uid_or_one_title() -> None:
    pages = [dashboard(name) for name in NAMES]
    assert len({page["uid"] for page in pages}) == len({page["title"] for page in pages}) == len(pages)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_has_the_fields_that_grafana_needs_and_none_that_ties_it_to_one(name: str) -> None:
    page = dashboard(name)
    assert page["schemaVersion"] >= 39
    assert page["uid"] == f"sidecars-{name}"
    assert len(page["uid"]) <= 40
    assert "id" not in page
    assert page["description"]
    assert [link["title"] for link in page["links"]] == ["Runbooks", "Sidecars"]
    assert [one["name"] for one in page["annotations"]["list"]] == ["Starts", "New versions"]


@pytest.mark.parametrize("name", NAMES)
def test_the_data_source_the_namespaces_and_the_pods_are_chosen_in_this_order(name: str) -> None:
    source, *queries = dashboard(name)["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert [variable["name"] for variable in queries] == ["namespace", "pod"]
    for variable in queries:
        assert variable["multi"]
        assert variable["includeAll"]
        assert variable["datasource"] == SOURCE
        query = variable["query"]["query"]
        selector, label = query.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        assert label == variable["name"]
        assert selectors(selector)[0].metric == "sidecar_build_info"


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_has_at_most_twenty_panels_and_begins_with_an_answer(name: str) -> None:
    first, second, *_ = dashboard(name)["panels"]
    assert len(panels(name)) <= 20
    assert (first["type"], first["title"]) == ("row", "Is it well?")
    assert second["type"] == "stat"


@pytest.mark.parametrize("name", NAMES)
def test_no_two_panels_overlap_and_none_leaves_the_grid(name: str) -> None:
    places = [panel["gridPos"] for panel in dashboard(name)["panels"]]
    for place in places:
        assert place["x"] >= 0
        assert place["w"] > 0
        assert place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_has_a_number_a_unit_a_description_and_thresholds(name: str) -> None:
    numbers = [panel["id"] for panel in dashboard(name)["panels"]]
    assert len(set(numbers)) == len(numbers)
    titles = [panel["title"] for panel in panels(name)]
    for panel in panels(name):
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        values = [step["value"] for step in steps]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])
    assert all(titles)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_is_promql_and_selects_by_the_variables(name: str) -> None:
    for panel in panels(name):
        assert panel["datasource"] == SOURCE
        assert panel["targets"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        for target in panel["targets"]:
            assert target["datasource"] == SOURCE
            asked = selectors(target["expr"])
            assert asked, target["expr"]
            for selector in asked:
                labels = {label for label, _ in selector.matchers}
                assert {"namespace", "pod"} <= labels or selector.metric == "ALERTS", target["expr"]


@pytest.mark.parametrize("name", NAMES)
def test_each_value_of_a_table_has_a_heading(name: str) -> None:
    for panel in panels(name):
        if panel["type"] == "table":
            assert [step["id"] for step in panel["transformations"]] == ["merge", "organize"]
            named = panel["transformations"][-1]["options"]["renameByName"]
            letters = [f"Value #{target['refId']}" for target in panel["targets"]]
            assert list(named) == (letters if len(letters) > 1 else ["Value"])
            assert all(named.values())
            assert all(target["format"] == "table" and target["instant"] for target in panel["targets"])


def test_the_parser_would_tell_a_wrong_type_and_a_wrong_word() -> None:
    for wrong in ("rate(sidecar_ready)", "summ(sidecar_ready)", 'sidecar_ready{pod=~"$pod"'):
        with pytest.raises(ValueError, match=r"."):
            selectors(wrong)


def test_the_json_is_that_of_the_generator() -> None:
    for name, made in DASHBOARDS.items():
        assert dashboard(name) == json.loads(json.dumps(made.json()))
