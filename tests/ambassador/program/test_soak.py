"""A short soak: repeated misbehaviour of peers leaks neither memory nor descriptors."""

from __future__ import annotations

from tests.ambassador.soak import GROWTH, SLACK, misbehave, misbehaving_upstream, sample
from tests.ambassador.support import GET, Ambassador
from tests.conftest import Start


def test_what_misbehaves_again_and_again_leaves_nothing_behind(start: Start) -> None:
    with misbehaving_upstream() as backend:
        ambassador = Ambassador(start, backend.url, IDLE_TIMEOUT="5s", RETRIES="0", EJECT_AFTER="1000")
        seen = []
        for _ in range(12):
            misbehave(ambassador)
            for _ in range(20):
                with ambassador.connect() as app:
                    app.send(GET * 3)
                    app.head()
            seen.append(sample(ambassador))
    first, last = seen[3], seen[-1]
    assert last.requests > first.requests + 300
    assert last.rss - first.rss < GROWTH
    assert last.descriptors <= first.descriptors + SLACK
