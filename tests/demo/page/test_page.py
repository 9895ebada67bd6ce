"""The page knows every part, state and way of the events, and contains nothing that its rules forbid."""

from __future__ import annotations

import re

from demo.events import PARTS, STATES, WAYS
from demo.page.server import PAGE as TEXT


def keys(table: str) -> set[str]:
    """Return the keys of a table in the script."""
    found = re.search(rf"^const {table} = \{{\n(.*?)^\}};", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, table
    return {
        quoted or bare for quoted, bare in re.findall(r'(?:^|, )\s*(?:"([\w ]+)"|(\w+)): \[', found[1], re.MULTILINE)
    }


def test_the_page_draws_every_part_of_the_pod_and_no_other() -> None:
    assert keys("PARTS") == set(PARTS)


def test_the_page_draws_every_way_and_no_other() -> None:
    assert keys("WAYS") == set(WAYS)


def test_every_way_leads_from_a_part_to_a_part() -> None:
    ends = re.findall(r'^  "[\w ]+": \["([\w ]+)", "([\w ]+)", ', TEXT, re.MULTILINE)
    assert len(ends) == len(WAYS)
    assert {end for pair in ends for end in pair} <= set(PARTS)


def test_the_page_has_a_symbol_for_every_state_and_no_other() -> None:
    assert keys("STATES") == set(STATES)


def test_the_page_names_no_other_host_and_makes_no_markup_from_text() -> None:
    assert set(re.findall(r"https?://[^\s\"']+", TEXT)) == {
        "http://www.w3.org/2000/svg"
    }  # the namespace, never asked for
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|\bstyle=|\bon\w+=", TEXT
    )
