"""The report of the benchmarks: it judges and shows each result as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import figures, report
from benchmarks.figures import Comparison, Figure

KEPT = Figure("CPU <per> request", 0.5, 0.6, note="Envoy = 1")
MISSED = Figure("verdicts", 4000, 5000, "/s", at_least=True)


@pytest.fixture(autouse=True)
def _results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (figures, report):
        monkeypatch.setattr(module, "RESULTS", tmp_path)


def test_the_exit_status_is_1_when_a_single_promise_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.conclude("adapter", [KEPT]) == 0
    assert figures.conclude("adapter", [KEPT, MISSED]) == 1
    assert "≥ 5000 /s" in capsys.readouterr().out


def test_the_report_shows_every_figure_and_marks_the_missed_one(tmp_path: Path) -> None:
    figures.conclude("adapter", [KEPT, MISSED], [Comparison("CPU", "ms", {"adapter": 1.0, "aiohttp": 4.0})])

    assert report.main() == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count('<span class="missed">') == 1
    assert "CPU &lt;per&gt; request" in page
    assert page.count("<rect") == 2


def test_a_report_of_nothing_is_refused() -> None:
    assert report.main() == 1
