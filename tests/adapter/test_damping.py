"""What keeps a verdict from jumping."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.damping import Damping
from sidecars.adapter.verdict import Check, Status, Verdict, of_checks


def result(status: Status) -> Verdict:
    return of_checks([Check("db", status, "" if status == "pass" else "db is away")])


PASS, WARN, FAIL = result("pass"), result("warn"), result("fail")


def statuses(damping: Damping, *results: Verdict) -> list[Status]:
    return [damping.settle(each, now).status for now, each in enumerate(results)]


def test_without_damping_the_verdict_is_the_result() -> None:
    assert statuses(Damping(1, 1, 0, 0), PASS, FAIL, WARN, FAIL, PASS) == ["pass", "fail", "warn", "fail", "pass"]


def test_a_verdict_fails_after_so_many_failures_in_a_row_and_warns_until_then() -> None:
    told = statuses(Damping(3, 1, 0, 0), PASS, FAIL, FAIL, PASS, FAIL, FAIL, FAIL, FAIL)

    assert told == ["pass", "warn", "warn", "pass", "warn", "warn", "fail", "fail"]


def test_a_verdict_passes_after_so_many_passes_in_a_row_and_fails_until_then() -> None:
    told = statuses(Damping(1, 3, 0, 0), FAIL, PASS, PASS, FAIL, PASS, WARN, PASS, PASS)

    assert told == ["fail", "fail", "fail", "fail", "fail", "fail", "pass", "pass"]


def test_the_first_result_counts_at_once() -> None:
    assert statuses(Damping(5, 5, 0, 0), FAIL) == ["fail"]
    assert statuses(Damping(5, 5, 0, 0), PASS) == ["pass"]


def test_the_reason_says_how_far_the_count_has_come() -> None:
    damping = Damping(3, 2, 0, 0)
    damping.settle(PASS, 0)

    assert damping.settle(FAIL, 1).reason == "failed 1 of 3 times in a row; db: db is away"
    damping.settle(FAIL, 2)
    damping.settle(FAIL, 3)
    assert damping.settle(PASS, 4).reason == "passed 1 of 2 times in a row"


def test_in_the_grace_a_failure_is_a_warning_and_the_reason_says_so() -> None:
    damping = Damping(1, 1, 30, 100)

    told = damping.settle(FAIL, 110)

    assert told.status == "warn"
    assert told.reason == "start-up grace, 20s left; db: db is away"
    assert damping.settle(FAIL, 130).status == "fail"


def test_the_grace_ends_with_the_first_pass() -> None:
    damping = Damping(1, 1, 30, 0)

    assert [damping.settle(each, 1).status for each in (FAIL, PASS, FAIL)] == ["warn", "pass", "fail"]


def test_failures_in_the_grace_are_not_counted() -> None:
    damping = Damping(2, 1, 10, 0)
    told = [damping.settle(each, now).status for now, each in ((1, FAIL), (2, PASS), (3, FAIL), (4, FAIL))]

    assert told == ["warn", "pass", "warn", "fail"]


@given(
    st.lists(st.sampled_from([PASS, WARN, FAIL]), max_size=30),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 10),
)
def test_a_failure_is_never_told_as_a_pass_nor_a_state_held_without_a_word(
    results: list[Verdict], fail_after: int, pass_after: int, grace: int
) -> None:
    damping = Damping(fail_after, pass_after, grace, 0)
    for now, each in enumerate(results):
        told = damping.settle(each, now)
        if each.status == "fail":
            assert told.status != "pass"
        assert bool(told.holding) == (told.status != each.status)
        assert told.checks == each.checks
