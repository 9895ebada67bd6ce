"""Wrong settings are reported before anything is touched, and --check prints the effective settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.warcopier.support import SHOP, Copier, refused


def test_every_wrong_setting_is_told_at_once_and_nothing_is_touched(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    outcome = copier.run(WARCOPIER_VALIDATE="yes", WARCOPIER_MAX_RATIO="0", WARCOPIER_TARGTE="/x")
    refused(outcome, 78, "WARCOPIER_VALIDATE=yes", "WARCOPIER_MAX_RATIO=0", "did you mean WARCOPIER_TARGET?")
    assert copier.names() == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CONTEXT_PATH", "shop"),
        ("CONTEXT_PATH", "/a/../b"),
        ("VERSION", "1/2"),
        ("SHA256", "abc"),
        ("MODE", "999"),
        ("MODE", "0044"),
        ("MODE", "4755"),
        ("OWNER", "root:root"),
        ("OWNER", "1"),
        ("OVERWRITE", "yes"),
        ("RESERVE", "-1"),
        ("WATCH_INTERVAL", "5"),
    ],
)
def test_a_value_that_cannot_be_is_told_before_anything_is_touched(copier: Copier, variable: str, value: str) -> None:
    copier.offer(shop=SHOP)
    refused(copier.run(**{f"WARCOPIER_{variable}": value}), 78, f"WARCOPIER_{variable}={value}: expected")
    assert copier.names() == []


@pytest.mark.parametrize(
    ("together", "said"),
    [
        ({"UNPACK": "true", "VALIDATE": "none"}, "only an archive that passes the check war is unpacked"),
        ({"UNPACK": "true", "DIGEST": "false"}, "WARCOPIER_UNPACK=true and WARCOPIER_DIGEST=false"),
        ({"REQUIRE_SHA256": "true", "DIGEST": "false"}, "WARCOPIER_REQUIRE_SHA256=true and WARCOPIER_DIGEST=false"),
    ],
)
def test_settings_that_do_not_fit_together_are_told(copier: Copier, together: dict[str, str], said: str) -> None:
    copier.offer(shop=SHOP)
    refused(copier.run(**{f"WARCOPIER_{name}": value for name, value in together.items()}), 78, said)


def test_check_shows_the_settings_and_opens_nothing(tmp_path: Path) -> None:
    nowhere = Copier(tmp_path / "no-source", tmp_path / "no-target")
    shown = subprocess.run(
        [sys.executable, "-m", "sidecars.warcopier", "--check"],
        env=nowhere.environ({}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"WARCOPIER_SOURCE={nowhere.source}\nWARCOPIER_TARGET={nowhere.target}\n" in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_all_settings_are_shown_by_check(copier: Copier, tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "sidecars.warcopier", "--check"],
        env=copier.environ({"WARCOPIER_OWNER": "1:2", "WARCOPIER_MODE": "600", "WARCOPIER_CONTEXT_PATH": "/"}),
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "WARCOPIER_OWNER=1:2\n" in shown
    assert "WARCOPIER_MODE=0600\n" in shown
    assert "WARCOPIER_CONTEXT_PATH=/\n" in shown
