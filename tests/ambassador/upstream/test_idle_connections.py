"""The store of idle connections: which one is taken, and which ones are closed."""

from __future__ import annotations

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.upstream.idle_connections import IdleConnections
from tests.ambassador.balancing_support import make_endpoints


class Fake:
    """A connection that has nothing but the time since which it is idle."""

    def __init__(self, store: IdleConnections[Fake], endpoint: Endpoint, since: float, limit: float = 60.0) -> None:
        self.store, self.endpoint = store, endpoint
        self.idle_since, self.idle_limit = since, limit
        self.closed = False
        store.add(endpoint, self)

    def discard(self) -> None:
        self.closed = True
        self.store.remove(self.endpoint, self)


def test_the_connection_that_became_idle_last_is_taken_first() -> None:
    store: IdleConnections[Fake] = IdleConnections()
    (endpoint,) = make_endpoints(1)
    _, newest = Fake(store, endpoint, 1.0), Fake(store, endpoint, 2.0)
    assert store.of(endpoint).pop() is newest
    assert store.count(endpoint) == 1


def test_connections_are_closed_after_their_own_idle_limit() -> None:
    store: IdleConnections[Fake] = IdleConnections()
    one, other = make_endpoints(2)
    made = [Fake(store, one, 0.0), Fake(store, one, 50.0), Fake(store, other, 0.0, limit=5.0)]
    store.close_expired(59.0)
    assert [each.closed for each in made] == [False, False, True]
    store.close_expired(60.0)
    assert [each.closed for each in made] == [True, False, True]
    assert (store.count(one), store.count(other)) == (1, 0)


def test_the_oldest_of_all_endpoints_is_closed_to_free_a_descriptor() -> None:
    store: IdleConnections[Fake] = IdleConnections()
    one, other = make_endpoints(2)
    made = [Fake(store, one, 2.0), Fake(store, other, 1.0), Fake(store, other, 3.0)]
    store.close_oldest()
    assert [each.closed for each in made] == [False, True, False]


def test_an_endpoint_that_is_gone_keeps_no_idle_connection() -> None:
    store: IdleConnections[Fake] = IdleConnections()
    one, other = make_endpoints(2)
    made = [Fake(store, one, 1.0), Fake(store, one, 2.0), Fake(store, other, 1.0)]
    store.close_all(one)
    assert [each.closed for each in made] == [True, True, False]
    store.close_every()
    assert store.count(other) == 0
    store.close_oldest()
