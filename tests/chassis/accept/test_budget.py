"""The budget of a server's connections: who makes room for a newcomer."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.accept import budget
from sidecars.chassis.accept.budget import Budget, Ticket
from tests.support import examples


class Table:
    """A budget, with the names of the connections that were shed."""

    def __init__(self, total: int, per_peer: int | None = None) -> None:
        self.budget = Budget(total, per_peer)
        self.shed: list[str] = []

    def come(self, peer: str, name: str) -> Ticket:
        ticket = self.budget.admit(peer, lambda: self.shed.append(name))
        assert ticket is not None
        return ticket


def test_a_newcomer_takes_the_place_of_the_oldest_idle_connection_of_the_largest_peer() -> None:
    table = Table(4)
    for peer, name in (("prober", "p1"), ("flood", "f1"), ("flood", "f2"), ("scraper", "s1")):
        table.come(peer, name)
    table.come("prober", "p2")

    assert table.shed == ["f1"]
    table.come("flood", "f3")
    assert table.shed == ["f1", "p1"]  # prober and flood had two and one
    assert table.budget.held == 4


def test_of_equal_peers_the_one_that_has_held_as_many_for_longest_makes_room() -> None:
    table = Table(3)
    for name in "abc":
        table.come(name, name)
    table.come("d", "d")
    table.come("e", "e")

    assert table.shed == ["a", "b"]


def test_a_peer_with_its_share_makes_room_among_its_own() -> None:
    table = Table(10, per_peer=2)
    table.come("prober", "p1")
    for number in range(5):
        table.come("flood", f"f{number}")

    assert table.shed == ["f0", "f1", "f2"]
    assert table.budget.held == 3


def test_a_connection_at_work_is_never_shed_and_counts_as_new_when_it_rests() -> None:
    table = Table(2)
    first, _ = table.come("a", "first"), table.come("a", "second")
    first.work()
    table.come("a", "third")
    assert table.shed == ["second"]
    first.rest()
    table.come("a", "fourth")

    assert table.shed == ["second", "third"]


def test_only_if_all_are_at_work_a_newcomer_is_refused() -> None:
    table = Table(2)
    tickets = [table.come("a", name) for name in "ab"]
    for ticket in tickets:
        ticket.work()

    assert table.budget.admit("b", lambda: None) is None
    assert (table.budget.refused, table.shed) == (1, [])
    tickets[0].release()
    table.come("b", "c")


def test_a_ticket_may_be_released_twice_and_work_no_more() -> None:
    table = Table(1)
    ticket = table.come("a", "first")
    ticket.work()
    ticket.release()
    ticket.release()
    ticket.rest()

    assert (table.budget.held, table.budget.idle) == (0, 0)
    table.come("a", "second")
    assert table.shed == []


def test_idle_connections_with_a_session_have_a_limit_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MOST_SESSIONS", 2)
    table = Table(100)
    tickets = [table.come("a", name) for name in "abc"]
    table.come("a", "without")
    tickets[2].note_session()
    tickets[0].note_session()
    tickets[2].work()
    tickets[1].note_session()
    assert table.shed == []
    tickets[2].rest()

    assert table.shed == ["a"]
    assert table.budget.idle == 3


STEPS = st.lists(st.tuples(st.sampled_from(["come", "work", "rest", "leave"]), st.integers(0, 30), st.integers(0, 3)))


@examples(300)
@given(STEPS, st.integers(1, 6), st.integers(1, 4))
def test_whatever_happens_the_sums_are_right_and_the_largest_peer_pays(
    steps: list[tuple[str, int, int]], total: int, per_peer: int
) -> None:
    places = Budget(total, per_peer)
    living: dict[int, tuple[str, Ticket, bool]] = {}  # peer, ticket, idle; in the order in which they became idle
    for number, (step, which, peer_number) in enumerate(steps):
        peer = f"peer {peer_number}"
        if step == "come":
            before = dict(living)
            ticket = places.admit(peer, partial(living.pop, number))
            gone = set(before) - set(living)
            idle = [each for each in before.values() if each[2]]
            assert (ticket is None) == (len(before) >= total and not idle)
            for each in gone:
                most = max(sum(own == of for of, _, _ in idle) for own, _, _ in idle)
                victim = before[each][0]
                own_share = victim == peer and sum(of == peer for of, _, _ in before.values()) >= per_peer
                assert before[each][2]
                assert own_share or sum(of == victim for of, _, _ in idle) == most
                assert each == next(key for key, value in before.items() if value[0] == victim and value[2])
            if ticket is not None:
                living[number] = (peer, ticket, True)
        elif living:
            key = list(living)[which % len(living)]
            of, ticket, is_idle = living[key]
            if step == "work":
                ticket.work()
                living[key] = (of, ticket, False)
            elif step == "rest" and not is_idle:
                ticket.rest()
                del living[key]
                living[key] = (of, ticket, True)
            elif step == "leave":
                ticket.release()
                del living[key]
        assert places.held == len(living) <= total
        assert places.idle == sum(is_idle for _, _, is_idle in living.values())
