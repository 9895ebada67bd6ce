"""The clock that signatures are dated by, after refusals that have another Date."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.identity.clock_skew import ClockSkew

HOUR = 3600.0


def test_the_time_of_a_refusal_is_taken_and_the_request_sent_again() -> None:
    clock = ClockSkew()
    assert clock.refuse(HOUR, 10.0, 10.1)
    assert clock.ahead == HOUR
    clock.accept(10.2, 10.3)
    assert not clock.refuse(HOUR, 11.0, 11.1)  # a right is missing
    assert clock.ahead == HOUR


def test_all_requests_that_were_dated_before_the_change_are_sent_again() -> None:
    clock = ClockSkew()
    assert [clock.refuse(HOUR, 10.0, 10.1 + number) for number in range(5)] == [True] * 5
    assert clock.ahead == HOUR


def test_a_date_that_lies_is_not_believed_while_this_clock_is_accepted() -> None:
    clock = ClockSkew()
    clock.accept(10.0, 10.1)
    assert not clock.refuse(HOUR, 11.0, 11.1)
    assert clock.ahead == 0
    assert clock.refuse(HOUR, 400.0, 400.1)  # nothing was accepted for five minutes: has this clock changed?


def test_a_date_that_lies_costs_every_second_request_at_most() -> None:
    clock = ClockSkew()
    assert clock.refuse(HOUR, 10.0, 10.1)
    assert not clock.refuse(HOUR, 10.2, 10.3)  # it was no better
    assert clock.ahead == 0
    clock.accept(10.4, 10.5)
    assert not clock.refuse(HOUR, 10.6, 10.7)


def test_a_clock_that_is_set_right_is_found_again() -> None:
    clock = ClockSkew()
    assert clock.refuse(HOUR, 10.0, 10.1)
    clock.accept(10.2, 10.3)
    assert not clock.refuse(0.0, 200.0, 200.1)
    assert clock.refuse(0.0, 400.0, 400.1)
    assert clock.ahead == 0


@given(
    truth=st.sampled_from([0.0, HOUR, -HOUR]),
    rights=st.lists(st.booleans(), min_size=3, max_size=30),
)
def test_a_request_that_may_pass_passes_at_the_second_attempt_whatever_was_refused(
    truth: float, rights: list[bool]
) -> None:
    clock, now = ClockSkew(), 0.0
    for has_right in rights:
        for attempt in (1, 2):
            now += 1
            dated = clock.ahead
            if dated == truth and has_right:
                clock.accept(now, now + 0.1)
                break
            if not clock.refuse(truth, now, now + 0.1):
                assert not has_right or attempt == 2, "it was not sent again"
                break
        else:
            raise AssertionError("a third attempt")
