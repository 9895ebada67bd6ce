"""From checks to a verdict, and from several verdicts to one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.verdict.verdict import STATUSES, Check, Status, combine_apps, combine_routes, verdict_of

CHECKS = st.lists(st.builds(Check, st.text(max_size=5), st.sampled_from(STATUSES), st.text(max_size=5)), max_size=6)


@given(CHECKS)
def test_a_verdict_is_as_bad_as_its_worst_check_and_nothing_at_all_is_a_failure(checks: list[Check]) -> None:
    found: set[Status] = {check.status for check in checks}

    expected = "fail" if "fail" in found or not found else "warn" if "warn" in found else "pass"
    assert verdict_of(checks).status == expected


def test_the_reason_names_every_check_that_does_not_pass_the_worst_first() -> None:
    verdict = verdict_of([Check("a", "pass"), Check("b", "warn", "b is high"), Check("c", "fail", "c is\naway")])

    assert verdict.reason == "c: c is away; b: b is high"


def test_of_many_reasons_the_first_are_told_and_how_many_more_there_are() -> None:
    verdict = verdict_of([Check(str(number), "fail", "is away") for number in range(500)])

    assert verdict.reason.startswith("0: is away; 1: is away; ")
    assert verdict.log_reason.endswith("; 9: is away; and 490 more")


def test_a_long_reason_is_cut() -> None:
    assert len(Check("a", "fail", "x" * 1000).short_reason) == 300


def test_several_apps_are_one_verdict_with_each_check_under_its_app() -> None:
    shop, cart = verdict_of([Check("db", "pass")]), verdict_of([Check("db", "fail", "is away")])

    verdict = combine_apps({"shop": shop, "cart": cart})

    assert verdict.status == "fail"
    assert [check.label for check in verdict.checks] == ["shop/db", "cart/db"]
    assert verdict.reason == "cart/db: is away"
    assert combine_apps({"default": shop}) is shop


def test_routes_that_share_checks_tell_them_once() -> None:
    one = verdict_of([Check("db", "pass"), Check("queue", "warn", "is long")])

    assert combine_routes([one, one]) == one
