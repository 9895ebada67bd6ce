"""The text of --help, without a program."""

from __future__ import annotations

import re

import pytest

from sidecars.chassis.config import help_text
from sidecars.chassis.config import settings as declared
from sidecars.chassis.config.help_text import format_default, naming_note
from sidecars.chassis.config.settings import specs
from sidecars.chassis.settings_tables import sidecars
from tests.chassis.programs import Settings
from tests.chassis.shop import Settings as Grouped


def test_help_explains_names_only_where_there_can_be_several() -> None:
    assert "such as DEMO_ORDERS_UPSTREAM" in " ".join(help_text.of(Grouped, "demo").split())
    assert naming_note(Settings) == ""


def test_help_tells_what_is_required_and_what_is_unset() -> None:
    defaults = {spec.variable: format_default(spec) for spec in specs(Grouped)}

    assert defaults["DEMO_UPSTREAM"] == "required"
    assert defaults["DEMO_LABELS"] == "-"
    assert defaults["DEMO_COUNT"] == "3"


@pytest.mark.parametrize("cls", [cls for _, cls in sidecars()], ids=lambda cls: cls.PREFIX)
def test_help_has_each_setting_once_in_a_group_with_a_heading_of_its_own(cls: type[declared.Settings]) -> None:
    groups = help_text.by_heading(cls)
    headings = [heading for heading, _ in groups]

    assert all(headings)
    assert len(set(headings)) == len(headings)
    assert [spec for _, members in groups for spec in members] == specs(cls)
    assert max(len(members) for _, members in groups) <= 16  # a screen or two
    shown = help_text.of(cls, "demo").splitlines()
    assert [line for line in shown if line in headings] == headings
    assert [line.split()[0] for line in shown if re.match(r"  \w", line)] == [spec.variable for spec in specs(cls)]


def test_help_finds_a_word_in_names_and_meanings_whatever_its_case() -> None:
    by_name = help_text.of(Grouped, "demo", "upstream").lower()
    by_meaning = help_text.of(Grouped, "demo", "LOWEST LEVEL")

    assert "demo_upstream" in by_name
    assert "usage" not in by_name
    assert by_meaning.startswith("Settings of every sidecar\n\n  DEMO_LOG_LEVEL  info  (debug")
    assert help_text.of(Grouped, "demo", "no such word") == ""
