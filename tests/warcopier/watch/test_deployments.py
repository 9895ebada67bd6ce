"""The artifacts as people see them: the states, from run to run."""

from __future__ import annotations

from typing import Any

import pytest

from sidecars.warcopier.app import Outcome
from sidecars.warcopier.artifacts import Fingerprint, Source
from sidecars.warcopier.watch import deployments
from sidecars.warcopier.watch.deployments import Deployments

SOURCE = Source("/wars/shop.war", "shop.war", 1, Fingerprint(1234, 50 * 10**9, 60 * 10**9, 7), "/wars")


def outcome(published: dict[str, str] | None = None, kept: dict[str, str] | None = None, *pruned: str) -> Outcome:
    new, old = published or {}, kept or {}
    return Outcome(tuple(new), tuple(old), pruned, {**old, **new}, 0, dict.fromkeys([*new, *old], SOURCE))


def after(*runs: Outcome | str) -> dict[str, Any]:
    """Return the page after these runs, a minute apart from 100 s on. A text is the reason of a refusal of shop.war."""
    found, now = Deployments(), 100.0
    for run in runs:
        if isinstance(run, str):
            found.refused("shop.war", SOURCE, run, now)
        else:
            found.succeeded(run, lambda name: f"version of {name}", now)
        now += 60
    return found.status_page(now)


def test_an_artifact_tells_its_digest_its_version_its_source_and_their_ages() -> None:
    assert after(outcome({"shop.war": "aaaa"})) == {
        "shop.war": {
            "state": "deployed",
            "since_seconds": 60.0,
            "sha256": "aaaa",
            "version": "version of shop.war",
            "bytes": 1234,
            "source": "/wars/shop.war",
            "source_age_seconds": 100.0,
            "refused": "",
        }
    }


A, B, C = ({"shop.war": digest} for digest in ("aaaa", "bbbb", "cccc"))


@pytest.mark.parametrize(
    ("runs", "state", "since"),
    [
        ([outcome(A)], "deployed", 60),
        ([outcome({}, A)], "verified", 60),
        ([outcome(A), outcome({}, A)], "deployed", 120),
        ([outcome(A), outcome({}, A), outcome({}, A)], "deployed", 180),
        ([outcome({}, A), outcome({}, B)], "verified", 60),
        ([outcome(A), outcome(B)], "deployed", 60),
        ([outcome(A), outcome(B), outcome(A)], "rolled back", 60),
        ([outcome({}, A), outcome(B), outcome(A), outcome({}, A)], "rolled back", 120),
        ([outcome(A), outcome(B), outcome(A), outcome(B)], "rolled back", 60),
        ([outcome(A), outcome(B), outcome(A), outcome(C)], "deployed", 60),
        ([outcome(A), outcome(A)], "deployed", 60),  # WARCOPIER_OVERWRITE=always
        ([outcome({"shop.war": ""}), outcome({"shop.war": ""})], "deployed", 60),  # without digests
        ([outcome(A), "it is cut short"], "refused", 60),
        ([outcome(A), "it is cut short", "it is empty"], "refused", 120),
        ([outcome(A), "it is cut short", outcome({}, A)], "verified", 60),
        ([outcome(A), "it is cut short", outcome(B)], "deployed", 60),
        ([outcome(A), outcome({}, {}, "shop.war")], "removed", 60),
    ],
)
def test_the_state_follows_from_the_runs(runs: list[Outcome | str], state: str, since: int) -> None:
    page = after(*runs)["shop.war"]
    assert (page["state"], page["since_seconds"]) == (state, since)


def test_a_refused_source_comes_first_with_its_reason_and_what_is_published_stays() -> None:
    page = after(outcome({"admin.war": "1111", "shop.war": "aaaa"}), "/wars/shop.war: it is cut short")
    assert list(page) == ["shop.war", "admin.war"]
    assert page["shop.war"]["refused"] == "/wars/shop.war: it is cut short"
    assert page["shop.war"]["sha256"] == "aaaa"
    assert page["admin.war"]["state"] == "deployed"


def test_of_many_artifacts_some_are_listed_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments, "MOST", 3)
    found = Deployments()
    found.succeeded(outcome({f"{number}.war": "aaaa" for number in range(10)}), lambda _: "", 0.0)
    assert (len(found.status_page(0.0)), found.left_out) == (3, 7)
    for number in range(100):
        found.refused(f"bad{number}.war", SOURCE, "no", 0.0)
    assert len(found.status_page(0.0)) <= 7
