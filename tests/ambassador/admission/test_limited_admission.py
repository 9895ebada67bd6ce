"""Admission with limits: who starts, who waits and who is refused; with fake exchanges, and in the data path."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.admission.limited_admission import LimitedAdmission
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from tests.ambassador.balancing_support import settings
from tests.ambassador.exchanges import Pair
from tests.ambassador.support import GET
from tests.support import examples


class Clock:
    now = 50.0


@pytest.fixture(autouse=True)
def clock() -> type[Clock]:
    """Begin at the present time, which a turn reads itself: in the compiled form nobody can give it another clock."""
    Clock.now = time.monotonic()
    return Clock


class Some:
    """An exchange of one client. Its story is its end: started, or the cause of a refusal."""

    def __init__(self, crowd: Crowd, key: str, deadline: float = 0.0) -> None:
        self.crowd = crowd
        self.key = key
        self.over = False
        self.started = Clock.now
        self.deadline = deadline
        self.is_under_way = False
        self.cause: Cause | None = None

    @property
    def client(self) -> Some:
        return self

    def turn_key(self) -> object:
        return self.key

    def start(self, _now: float) -> None:
        assert not self.over
        assert not self.is_under_way
        self.is_under_way = True
        self.crowd.admission.count_start()
        self.crowd.started.append(self)

    def give_up(self, cause: Cause) -> None:
        assert not self.over
        assert not self.is_under_way
        self.over = True
        self.cause = cause

    def end(self) -> None:
        assert self.is_under_way
        self.is_under_way, self.over = False, True
        self.crowd.admission.count_end(streams=False)


class Crowd:
    def __init__(self, **environ: str) -> None:
        self.soon: deque[Callable[[], None]] = deque()
        self.admission = LimitedAdmission(self.soon.append, settings(**environ))
        self.all: list[Some] = []
        self.started: list[Some] = []

    def arrive(self, key: str = "a", deadline: float = 0.0) -> Some:
        one = Some(self, key, deadline)
        self.all.append(one)
        if self.admission.admit(one):
            one.start(Clock.now)
        return one

    def go(self) -> None:
        while self.soon:
            self.soon.popleft()()

    @property
    def under_way(self) -> list[Some]:
        return [one for one in self.all if one.is_under_way]


def causes(some: list[Some]) -> list[Cause | None]:
    return [one.cause for one in some]


def test_so_many_start_so_many_wait_and_the_next_one_is_refused() -> None:
    crowd = Crowd(MAX_REQUESTS="3", MAX_QUEUED="2")
    some = [crowd.arrive() for _ in range(7)]
    crowd.go()
    assert crowd.started == some[:3]
    assert crowd.admission.waiting == 2
    assert causes(some[5:]) == [local_replies.QUEUE_FULL] * 2
    some[0].end()
    crowd.go()
    assert crowd.started == some[:4]
    assert crowd.admission.refused == 2


def test_without_a_queue_all_beyond_the_limit_are_refused() -> None:
    crowd = Crowd(MAX_REQUESTS="2", MAX_QUEUED="0")
    some = [crowd.arrive() for _ in range(3)]
    assert causes(some) == [None, None, local_replies.QUEUE_FULL]
    some[1].end()
    assert crowd.arrive().is_under_way


def test_the_queue_is_as_long_as_the_limit_by_default() -> None:
    crowd = Crowd(MAX_REQUESTS="5")
    some = [crowd.arrive() for _ in range(11)]
    assert sum(one.over for one in some) == 1
    assert crowd.admission.waiting == 5


def test_who_has_waited_for_too_long_gets_503_and_a_deadline_ends_sooner() -> None:
    crowd = Crowd(MAX_REQUESTS="1", QUEUE_TIMEOUT="500ms")
    first, second, third = crowd.arrive(), crowd.arrive(deadline=Clock.now + 0.2), crowd.arrive()
    crowd.admission.tick(Clock.now)
    assert crowd.admission.waiting == 1
    assert third.cause is local_replies.QUEUE_FULL
    Clock.now += 0.3
    crowd.admission.tick(Clock.now)
    assert second.cause is local_replies.DEADLINE
    assert first.is_under_way
    fourth = crowd.arrive()
    Clock.now += 0.5
    crowd.admission.tick(Clock.now)
    assert fourth.cause is local_replies.QUEUED_TOO_LONG
    assert crowd.admission.timed_out == 1
    assert crowd.admission.waiting == 0


def test_one_that_left_while_it_waited_is_not_started() -> None:
    crowd = Crowd(MAX_REQUESTS="1")
    first, second = crowd.arrive(), crowd.arrive()
    second.over = True
    first.end()
    crowd.go()
    assert crowd.started == [first]
    assert crowd.arrive().is_under_way


def test_the_place_of_a_greedy_client_goes_to_another_one() -> None:
    crowd = Crowd(MAX_REQUESTS="1", MAX_QUEUED="3")
    greedy = [crowd.arrive("greedy") for _ in range(4)]
    modest = crowd.arrive("modest")
    assert causes(greedy) == [None, None, None, local_replies.QUEUE_FULL]
    greedy[0].end()
    crowd.go()
    greedy[1].end()
    crowd.go()
    assert modest.is_under_way


def test_the_rate_has_a_burst_and_says_when_the_next_one_may_come() -> None:
    crowd = Crowd(RATE_LIMIT="30/m", RATE_BURST="2")
    some = [crowd.arrive() for _ in range(3)]
    cause = some[2].cause
    assert cause is not None
    assert (cause.status, cause.retry_after) == (429, 2)
    assert crowd.admission.refused_by_rate == 1
    Clock.now += 2.0
    assert crowd.arrive().is_under_way


def test_one_that_is_refused_by_a_full_queue_takes_no_token() -> None:
    crowd = Crowd(RATE_LIMIT="1/h", RATE_BURST="2", MAX_REQUESTS="1", MAX_QUEUED="0")
    first = crowd.arrive()
    assert crowd.arrive().cause is local_replies.QUEUE_FULL
    first.end()
    assert crowd.arrive().is_under_way


def test_a_response_that_goes_on_leaves_its_place_of_the_adaptive_limit_alone() -> None:
    crowd = Crowd(ADAPTIVE_CONCURRENCY="on")
    limit = crowd.admission.limit
    some = [crowd.arrive() for _ in range(limit + 1)]
    assert not some[-1].is_under_way
    crowd.admission.count_stream()
    crowd.go()
    assert some[-1] in crowd.started
    crowd.admission.count_end(streams=True)
    assert (crowd.admission.under_way, crowd.admission.streaming) == (limit, 0)
    fixed = Crowd(MAX_REQUESTS="1")
    fixed.arrive()
    waits = fixed.arrive()
    fixed.admission.count_stream()
    fixed.go()
    assert not waits.is_under_way


STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "arrive", "arrive", "end", "leave", "go", "tick"]), st.integers(0, 30)),
    max_size=80,
)


@examples(40)
@given(STEPS, st.integers(1, 6), st.integers(0, 6))
def test_whatever_happens_the_bounds_hold_and_each_ends_once(
    steps: list[tuple[str, int]], most: int, queued: int
) -> None:
    Clock.now = time.monotonic()
    crowd = Crowd(MAX_REQUESTS=str(most), MAX_QUEUED=str(queued), RATE_LIMIT="20/s", RATE_BURST="15")
    for step, number in steps:
        Clock.now += 0.01
        under_way = crowd.under_way
        if step == "arrive":
            crowd.arrive("abc"[number % 3], Clock.now + 0.1 if number > 25 else 0.0)
        elif step == "end" and under_way:
            under_way[number % len(under_way)].end()
        elif step == "leave" and crowd.all and not crowd.all[number % len(crowd.all)].is_under_way:
            crowd.all[number % len(crowd.all)].over = True
        elif step == "go":
            crowd.go()
        elif step == "tick":
            crowd.admission.tick(Clock.now)
        assert crowd.admission.under_way == len(crowd.under_way) <= most
        assert crowd.admission.waiting <= most + queued
    while crowd.admission.waiting or crowd.under_way:
        crowd.go()
        for one in crowd.under_way:
            one.end()
        crowd.go()
    assert all(one.over for one in crowd.all)
    refused = Counter(one.cause.status for one in crowd.all if one.cause is not None)
    admission = crowd.admission
    assert refused[503] == admission.refused + admission.timed_out
    assert refused[429] == admission.refused_by_rate


# -- in the data path ---------------------------------------------------------------------------------------------


def test_the_app_gets_503_with_retry_after_and_then_its_turn() -> None:
    with Pair(AMBASSADOR_MAX_REQUESTS="1", AMBASSADOR_MAX_QUEUED="0") as pair:
        pair.upstream.admission.under_way = 1
        pair.client.data_received(GET)
        head = pair.app.written.partition(b"\r\n\r\n")[0]
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1" in head
        assert b"ambassador; error=connection_limit_reached" in head
        pair.loop.run_until_complete(asyncio.sleep(0))
        pair.upstream.admission.under_way = 0
        pair.client.data_received(GET)
        pair.connection.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert b"upstream: default\nHTTP/1.1 204 No Content\r\n" in pair.app.written
        assert pair.upstream.admission.under_way == 0
        assert dict(pair.upstream.counters.codes) == {204: 1, 503: 1}


def test_the_app_gets_429_beyond_the_rate() -> None:
    with Pair(AMBASSADOR_RATE_LIMIT="1/h") as pair:
        pair.client.data_received(GET)
        pair.connection.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        pair.client.data_received(GET)
        head = pair.app.written.partition(b"Via: 1.1 ambassador\r\n\r\n")[2]
        assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert b"error=http_request_denied" in head
        assert b"\r\nRetry-After: " in head
        assert pair.upstream.counters.errors["http_request_denied"] == 1


def test_a_download_counts_for_the_adaptive_limit_until_its_head_and_for_the_other_until_its_end() -> None:
    with Pair(AMBASSADOR_ADAPTIVE_CONCURRENCY="on") as pair:
        pair.client.data_received(GET)
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        admission = pair.upstream.admission
        assert (admission.under_way, admission.streaming) == (1, 1)
        pair.connection.data_received(b"cd")
        assert (admission.under_way, admission.streaming) == (0, 0)
