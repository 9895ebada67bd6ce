"""The texts of --help, without a program."""

from __future__ import annotations

from sidecars.chassis.commandline import format_default, help_text, naming_note
from sidecars.chassis.config.settings import specs
from tests.chassis.programs import Settings
from tests.chassis.shop import Settings as Grouped


def test_help_explains_names_only_where_there_can_be_several() -> None:
    assert "such as DEMO_ORDERS_UPSTREAM" in " ".join(help_text(Grouped).split())
    assert naming_note(Settings) == ""


def test_help_tells_what_is_required_and_what_is_unset() -> None:
    defaults = {spec.variable: format_default(spec) for spec in specs(Grouped)}

    assert defaults["DEMO_UPSTREAM"] == "required"
    assert defaults["DEMO_LABELS"] == "-"
    assert defaults["DEMO_COUNT"] == "3"
