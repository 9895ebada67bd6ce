"""The pictures of the dashboards: current, small, and honest about what they are."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tools.monitoring.dashboards.catalogue import DASHBOARDS
from tools.monitoring.pictures import __main__ as pictures
from tools.monitoring.pictures.drawing import NOTE, digest, picture
from tools.monitoring.pictures.results import Line
from tools.monitoring.pictures.values import legend, shown

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_each_picture_shows_the_dashboard_of_today() -> None:
    assert pictures.stale() == [], "run make pictures"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_picture_is_small_and_says_that_it_is_no_screenshot(name: str) -> None:
    file = pictures.path(name)
    svg = file.read_text()
    assert file.stat().st_size <= 60 * 1024
    assert NOTE in texts(svg)
    assert NOTE in (ET.fromstring(svg).findtext(f"{SVG}desc") or "")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_picture_has_no_panel_without_data(name: str) -> None:
    assert not {"no data", "no rows", ""} & set(texts(pictures.path(name).read_text()))


def test_a_dashboard_that_was_changed_makes_its_picture_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    source = pictures.source
    monkeypatch.setattr(pictures, "source", lambda name: source(name) + (" " if name == "adapter" else ""))
    assert pictures.stale() == ["adapter"]


def test_the_values_of_a_query_are_drawn_in_their_panel() -> None:
    page: dict[str, Any] = DASHBOARDS["adapter"].json()

    def ask(expression: str, over_time: bool) -> list[Line]:  # noqa: FBT001 - as the JSON has it
        pod = {"pod": "shop-1", "rule": "queue<1"}
        return [Line(pod, [0.0, None, 12.0, 7.0] if over_time else [float("adapter_up" not in expression)])]

    text = json.dumps(page)
    drawn = picture(page, text, ask)

    assert digest(text) in drawn
    words = texts(drawn)
    assert {"ready", "down", "current", "shop-1", "queue<1"} <= set(words)
    assert [panel["title"] for panel in page["panels"] if panel["title"] not in words] == []


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0125, "s", "12.5 ms"),
        (1.5, "s", "1.5 s"),
        (600, "s", "10 min"),
        (7200, "s", "2 h"),
        (3 * 86_400, "s", "3 d"),
        (0, "s", "0 s"),
        (1536, "bytes", "1.5 KiB"),
        (1000 * 1024, "Bps", "1000 KiB/s"),
        (0.0144, "percentunit", "1.44 %"),
        (1234, "reqps", "1.23 k req/s"),
        (7, "short", "7"),
        (1_700_000_000_000 - 3_600_000, "dateTimeFromNow", "1 h ago"),
    ],
)
def test_a_value_is_shown_in_its_unit(value: float, unit: str, expected: str) -> None:
    assert shown(value, unit, 1_700_000_000) == expected


def test_a_legend_is_filled_in_with_labels() -> None:
    labels = {"upstream": "orders", "endpoint": "10.0.0.1:80"}
    assert legend("{{upstream}} {{ endpoint }}", labels) == "orders 10.0.0.1:80"
    assert legend("__auto", labels) == "upstream=orders, endpoint=10.0.0.1:80"
