"""Sentences about unreadable files: the reason and the cure."""

from __future__ import annotations

import pytest

from sidecars.logshipper.input.permissions import Facts, explain, why

US, OURS = 65532, (65532, 2000)


@pytest.mark.parametrize(
    ("mode", "owner", "group", "cure"),
    [
        (0o640, 0, 0, "set supplementalGroups: [0] for the Pod, or an fsGroup"),
        (0o640, 1000, 1000, "set supplementalGroups: [1000] for the Pod, or an fsGroup"),
        (0o600, 1000, 1000, "let the app write with a umask of 0022 or 0027, not 0077, and give the Pod an fsGroup"),
        (
            0o600,
            1000,
            2000,
            "its group, which we have, may not read it; let the app write with a umask of 0022 or 0027",
        ),
        (0o040, US, 2000, "change the mode"),
        (0o644, 0, 0, "a security module (SELinux, AppArmor)"),
    ],
)
def test_the_cure_fits_the_mode_and_the_ids(mode: int, owner: int, group: int, cure: str) -> None:
    said = explain(Facts("/logs/app.log", mode, owner, group, is_directory=False), US, OURS)
    assert said.startswith(
        f"/logs/app.log has mode {mode:04o}, owner {owner} and group {group}, "
        "and logshipper runs with uid 65532 and groups 2000, 65532: "
    )
    assert cure in said


@pytest.mark.parametrize(
    ("mode", "cure"), [(0o740, "let the app write with a umask"), (0o750, "supplementalGroups: [7]")]
)
def test_a_directory_needs_the_right_to_search_as_well(mode: int, cure: str) -> None:
    said = explain(Facts("/logs", mode, 0, 7, is_directory=True), US, OURS)
    assert said.startswith("the directory /logs has mode ")
    assert cure in said


def test_other_errors_are_told_as_they_are() -> None:
    assert why("/logs/app.log", OSError(5, "Input/output error")) == "/logs/app.log: Input/output error"
