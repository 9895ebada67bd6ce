"""Settings of the copier, without starting it."""

from __future__ import annotations

from sidecars.chassis.config.settings import load
from sidecars.chassis.settings_tables import links, rendered
from sidecars.warcopier.settings import Settings
from tests.support import ROOT


def test_the_table_of_the_readme_is_the_declaration() -> None:
    page = ROOT / "sidecars" / "warcopier" / "README.md"
    readme = page.read_text()
    assert rendered(readme, Settings, links(page, Settings)) == readme


def test_only_where_it_stays_is_there_an_admin_port_to_be_probed() -> None:
    assert not load(Settings, {}).admin_address()
    assert str(load(Settings, {"WARCOPIER_WATCH": "true"}).admin_address()) == ":9911"
