"""Scans that are skipped because no directory seems to have changed."""

from __future__ import annotations

import os
import time

import pytest

from sidecars.logshipper.input import discovery
from tests.logshipper.pod import Pod
from tests.logshipper.support import append


@pytest.mark.parametrize("step", [-86_400, 86_400])
def test_a_clock_that_is_set_hides_no_new_file(pod: Pod, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    real = time.time_ns
    os.utime(pod.logs, (1, 1))
    pod.follower.look(changed=False)
    monkeypatch.setattr(time, "time_ns", lambda: real() + step * 10**9)
    pod.follower.look(changed=False)
    append(pod.log, "1\n")
    pod.follower.look(changed=False)
    assert pod.ship() == ["1"]
    os.utime(pod.log, (real() / 1e9 + step, real() / 1e9 + step))
    append(pod.log, "2\n")
    os.utime(pod.log, (1, 1))
    pod.follower.look(changed=False)
    assert pod.ship() == ["2"]


def test_a_file_system_that_does_not_tell_of_new_names_is_looked_at_all_the_same(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_times", lambda _folder: (1, 1, 1))
    pod.follower.look(changed=False)
    append(pod.log, "1\n")
    for _ in range(10):
        pod.follower.look(changed=False)
    assert pod.ship() == ["1"]
