"""Where each setting's text is seen: the hits of canaries in all outputs equal the table in `canary_table`.

A new hit is a leak. A hit that is gone is an output that no longer says what an operator needs. Both fail.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sidecars.chassis.config.settings import SettingsError, load, specs
from tests.chassis import canary_table
from tests.chassis.canaries import WITHOUT_TEXT, Canaries, broken, environment
from tests.chassis.canary_profiles import PROFILES
from tests.chassis.canary_runs import RUNS
from tests.conftest import Start
from tests.support import CODE, ROOT

Hits = dict[str, set[str]]

STATIC = frozenset({"check", "error"})


def settings_of(name: str) -> Any:
    return importlib.import_module(f"sidecars.{name}.settings").Settings


def by_row(hits: Mapping[str, set[str]]) -> dict[str, str]:
    """Return the hits as the table has them: the outputs of each row, sorted."""
    return {row: " ".join(sorted(outputs)) for row, outputs in sorted(hits.items())}


def expected(name: str, outputs: frozenset[str], rows: Collection[str]) -> dict[str, str]:
    """Return the part of the table about these outputs and rows."""
    table = {row: set(canary_table.TABLE[name].get(row, "not in the table").split()) for row in rows}
    return by_row({row: found & outputs if found <= canary_table.OUTPUTS else found for row, found in table.items()})


@pytest.mark.parametrize("name", PROFILES)
def test_the_canaries_cover_every_setting_that_can_hold_text(name: str) -> None:
    covered = {variable for profile in PROFILES[name] for variable, value in profile.items() if "{" in value}
    with_text = {spec.variable for spec in specs(settings_of(name)) if not WITHOUT_TEXT.fullmatch(spec.type.name)}

    assert covered == with_text


@pytest.mark.parametrize("name", PROFILES)
def test_check_shows_of_each_setting_what_its_type_says(name: str) -> None:
    hits: Hits = {}
    for number, profile in enumerate(PROFILES[name]):
        canaries = Canaries(str(number))
        shown = check(name, environment(profile, canaries))
        for row in canaries.made.values():
            hits.setdefault(row, set())
        for row in canaries.found_in(shown):
            hits[row].add("check")
        hits_of_errors(name, profile, hits)

    assert set(hits) == set(canary_table.TABLE[name])
    assert by_row(hits) == expected(name, STATIC, hits)


def check(name: str, environ: Mapping[str, str]) -> str:
    """Return all that `--check` and `--check=all` print."""
    shown = ""
    for argument in ("--check", "--check=all"):
        done = subprocess.run(
            [sys.executable, "-m", f"sidecars.{name}", argument],
            env={"PYTHONPATH": f"{CODE}:{ROOT}", **environ},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        shown += (done.stdout + done.stderr).decode()
    return shown


def hits_of_errors(name: str, profile: Mapping[str, str], hits: Hits) -> None:
    """Add the rows whose canary is in the message about a wrong value, of that setting or of any other."""
    cls = settings_of(name)
    canaries = Canaries("9")
    environ = environment(profile, canaries)
    for variable, value in environ.items():
        for wrong in wrong_environments(variable, value):
            with contextlib.redirect_stderr(io.StringIO()) as stderr:
                try:
                    load(cls, {**{key: kept for key, kept in environ.items() if key != variable}, **wrong})
                except SettingsError as error:
                    for row in canaries.found_in(f"{error}{stderr.getvalue()}"):
                        hits[row].add("error")


def wrong_environments(variable: str, value: str) -> Iterator[dict[str, str]]:
    yield from ({variable: wrong} for wrong in broken(value))
    yield {f"{variable}_FILE": value}
    yield {f"{variable}_FILE": value, variable: value}
    yield {f"{variable}S": value}
    yield {variable.replace("_", "_NAMED_", 1): value}
    for other in ("LOG_LEVEL", "DRAIN_TIMEOUT"):  # the value in the place of another one
        yield {variable: value, f"{variable.partition('_')[0]}_{other}": ""}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_beside_bad_peers_shows_of_each_setting_what_its_type_says(
    name: str, start: Start, tmp_path: Path
) -> None:
    run, places = RUNS[name](start, tmp_path)

    assert by_row(run.hits) == expected(name, canary_table.OUTPUTS - STATIC, run.hits)
    assert places == canary_table.NET[name]
