"""Liveness and readiness."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime.health import Health


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_process_without_parts_is_alive_and_ready() -> None:
    health = Health(Clock())

    assert health.not_alive() == health.not_ready() == []


@given(st.lists(st.booleans(), max_size=6))
def test_a_process_is_ready_once_every_part_has_let_go(released: list[bool]) -> None:
    health = Health(Clock())
    holds = [health.hold(f"part {number}", "not yet") for number in range(len(released))]

    for latch, let_go in zip(holds, released, strict=True):
        if let_go:
            latch.release()

    assert len(health.not_ready()) == released.count(False)
    assert (not health.not_ready()) == all(released)


def test_a_part_says_why_it_is_not_ready_and_may_take_hold_again() -> None:
    health = Health(Clock())
    latch = health.hold("listener", "not listening yet")
    assert health.not_ready() == ["listener: not listening yet"]

    latch.release()
    assert health.not_ready() == []

    latch.hold("the socket is gone")
    assert health.not_ready() == ["listener: the socket is gone"]


def test_a_part_that_stops_beating_is_dead_and_says_since_when() -> None:
    clock = Clock()
    health = Health(clock)
    heartbeat = health.heartbeat("reader", max_age=5)

    clock.now += 5
    assert health.not_alive() == []
    clock.now += 0.5
    assert health.not_alive() == ["reader: no beat for 5.5 s, at most 5 s promised"]
    heartbeat.beat()
    assert health.not_alive() == []


def test_an_idle_part_owes_no_beat() -> None:
    clock = Clock()
    health = Health(clock)
    heartbeat = health.heartbeat("reader", max_age=5)

    heartbeat.idle()
    clock.now += 3600
    assert health.not_alive() == []
    assert heartbeat.age() == 0

    heartbeat.beat()
    clock.now += 6
    assert len(health.not_alive()) == 1


def test_one_dead_part_is_enough() -> None:
    clock = Clock()
    health = Health(clock)
    alive, _dead = health.heartbeat("writer", 5), health.heartbeat("reader", 5)
    clock.now += 6
    alive.beat()

    assert [problem.split(":")[0] for problem in health.not_alive()] == ["reader"]


def test_the_state_is_known_with_its_time() -> None:
    clock = Clock()
    health = Health(clock)
    assert health.state() == ("ready", 0)
    clock.now += 3
    latch = health.hold("listener", "not listening")
    clock.now += 2
    assert health.state() == ("not ready", 2)
    latch.release()
    assert health.state() == ("ready", 0)
    clock.now += 7
    assert health.state() == ("ready", 7)


def test_another_reason_or_another_latch_is_no_change_of_the_state() -> None:
    clock = Clock()
    health = Health(clock)
    one, other = health.hold("one", "starting"), health.hold("other", "")
    clock.now += 5
    one.hold("still starting")
    other.hold("starting, too")
    one.release()
    assert health.state() == ("not ready", 5)
    clock.now += 1
    other.release()
    other.release()
    assert health.state() == ("ready", 0)


def test_a_process_is_not_alive_since_the_first_promise_was_broken_whether_it_is_ready_or_not() -> None:
    clock = Clock()
    health = Health(clock)
    health.heartbeat("slow", max_age=10)
    quick = health.heartbeat("quick", max_age=2)
    clock.now += 12
    assert health.state() == ("not alive", 10)
    quick.beat()
    clock.now += 1
    assert health.state() == ("not alive", 3)
    health.hold("part", "not ready")
    assert health.state()[0] == "not alive"


def test_a_change_that_two_threads_have_noted_in_the_wrong_order_is_put_right_by_the_next_question() -> None:
    clock = Clock()
    health = Health(clock)
    latch = health.hold("part", "")
    latch._reason = "held, and the note of it was overtaken"
    clock.now += 1
    assert health.state()[0] == "not ready"
