"""The table with the connections of each worker."""

from __future__ import annotations

from sidecars.ambassador.workers.shares import Shares


def test_it_is_the_turn_of_a_worker_that_has_no_more_than_the_others() -> None:
    supervisor = Shares.create(2)
    first, second = Shares(supervisor.descriptor, 2), Shares(supervisor.descriptor, 2)

    assert first.is_turn_of(1, 0)
    assert second.is_turn_of(2, 0)
    assert not first.is_turn_of(1, 1)
    assert second.is_turn_of(2, 1)
    assert first.is_turn_of(1, 1)


def test_a_worker_that_has_ended_takes_no_part() -> None:
    shares = Shares.create(3)
    shares.is_turn_of(1, 0)
    shares.is_turn_of(3, 5)
    assert not shares.is_turn_of(2, 3)

    shares.leave(1)

    assert shares.is_turn_of(2, 3)
    assert not shares.is_turn_of(3, 5)


def test_a_worker_alone_always_has_its_turn() -> None:
    assert Shares.create(4).is_turn_of(2, 4000)
