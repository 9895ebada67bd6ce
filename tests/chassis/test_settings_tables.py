"""The settings tables of the READMEs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecars.chassis import settings_tables
from sidecars.chassis.config.settings import Settings, specs
from sidecars.chassis.settings_tables import BEGIN, END, explanations, links, main, rendered, table
from tests.chassis.programs import Settings as Plain
from tests.chassis.shop import Settings as Grouped

README = f"# demo\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n"


@pytest.fixture
def readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a README of the test the only one."""
    file = tmp_path / "README.md"
    file.write_text(README)

    def only_this() -> Iterator[tuple[Path, type[Settings]]]:
        yield file, Plain

    monkeypatch.setattr(settings_tables, "sidecars", only_this)
    monkeypatch.setattr(settings_tables, "ROOT", tmp_path)
    return file


def test_the_table_has_a_row_for_every_setting() -> None:
    rows = table(Grouped).splitlines()

    assert [row.split("`")[1] for row in rows[2:] if row.startswith("|")] == [spec.variable for spec in specs(Grouped)]


def test_a_setting_of_which_there_can_be_several_is_marked() -> None:
    rows = table(Grouped).splitlines()

    assert any(row.startswith("| `DEMO_TIMEOUT` ⁺ |") for row in rows)
    assert any(row.startswith("| `DEMO_COUNT` |") for row in rows)
    assert rows[-1].startswith("⁺ There can be several ")
    assert "⁺" not in table(Plain)


def test_required_and_unset_are_told_apart() -> None:
    rows = {row.split("`")[1]: row.split(" | ") for row in table(Grouped).splitlines() if row.startswith("| `")}

    assert rows["DEMO_UPSTREAM"][2] == "required"
    assert rows["DEMO_LABELS"][2] == "-"
    assert rows["DEMO_COUNT"][2] == "`3`"


def test_only_what_is_between_the_markers_is_rendered_anew() -> None:
    new = rendered(README, Plain)

    assert new.startswith("# demo\n\nbefore\n\n" + BEGIN)
    assert new.endswith(END + "\n\nafter\n")
    assert "old" not in new
    assert rendered(new, Plain) == new


def test_a_setting_links_to_the_section_that_explains_it(tmp_path: Path) -> None:
    """The sidecar's own pages go before those of all sidecars; another sidecar's pages are not about it."""
    pages = {
        "docs/reference/clock/work.md": "# Work\n\n## Time, `TIMEOUT`\n\n<!-- explains: TIMEOUT, COUNT -->\n",
        "docs/reference/alarm-clock/work.md": "# Work\n\n<!-- explains: LABELS -->\n",
        "docs/clocks.md": "## Logs\n\n<!-- explains: COUNT, LOG_LEVEL -->\n\n## Bare\n",
    }
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    found = links(tmp_path / "sidecars/clock/README.md", Grouped, tmp_path)

    own = "../../docs/reference/clock/work.md#time-timeout"
    assert found == {"DEMO_TIMEOUT": own, "DEMO_COUNT": own, "DEMO_LOG_LEVEL": "../../docs/clocks.md#logs"}
    assert f"| [`DEMO_TIMEOUT`]({own}) ⁺ |" in table(Grouped, found)
    assert "| `DEMO_LABELS`" in table(Grouped, found)


def test_every_setting_that_a_page_explains_exists_and_is_explained_once() -> None:
    known = {
        (readme.parent.name, spec.variable.removeprefix(f"{cls.PREFIX}_"))
        for readme, cls in settings_tables.sidecars()
        for spec in specs(cls)
    }
    told = [(sidecar, name) for sidecar, name, _ in explanations()]
    assert [
        one for one in told if one not in known and not (one[0] == "" and one[1] in {name for _, name in known})
    ] == []
    assert [one for one in told if told.count(one) > 1] == []


@pytest.mark.parametrize("text", ["", "# demo\n", BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_readme_without_its_markers_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="marker"):
        rendered(text, Plain)


def test_check_fails_until_write_has_been_run(readme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 1
    assert "README.md: its settings table differs" in capsys.readouterr().err
    assert readme.read_text() == README

    assert main(["--write"]) == 0
    assert "DEMO_DRAIN_TIMEOUT" in readme.read_text()
    assert main(["--check"]) == 0


def test_a_readme_that_is_missing_is_told_in_a_sentence(readme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme.unlink()

    assert main(["--check"]) == 1
    assert "README.md: No such file or directory" in capsys.readouterr().err


def test_without_an_argument_the_tables_are_printed(readme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    assert table(Plain) in capsys.readouterr().out
    assert readme.read_text() == README


def test_another_argument_is_refused(readme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--wirte"]) == 64
    assert "usage" in capsys.readouterr().err
