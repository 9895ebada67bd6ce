"""The adaptive concurrency limit of one upstream: how many requests may wait for its responses at once. No I/O.

Time is passed in. Little's law: requests that wait = throughput times latency. Beyond the upstream's capacity more
requests at once add no throughput, only latency: they wait in the upstream's own queues. So the limit follows the
*gradient*, the ratio between the latency without a queue (`floor`) and the latency now. The idea is that of Netflix's
concurrency-limits and of Envoy's adaptive concurrency; the rules here are of their own:

- Latency is the time of an attempt to the head of its response. Samples are collected in *windows* of at least 100 ms,
  and at least the latency itself, so that a window shows the effect of the limit before it. A window counts by its
  median: few slow requests, or a third of the endpoints, do not move it.
- In a window in which at least half of the limit was used:

      gradient = (1.5 * floor + 2 ms) / median, from 0.5 to 1
      limit    → halfway to gradient * limit + √limit

  The factor and the 2 ms are latency without a cause. √limit is the queue that is allowed, so that the limit grows
  while latency does not. With less use the limit stays: it has not been tried.
- The floor follows windows with little use up and down, and windows with much use down only: their latency may be our
  own doing.
- An upstream that has become slower for another reason would keep its old floor, and one that is overloaded from the
  start has shown none. So, after 30 s of much use (3 s at the start), or ten windows in a row at the lowest gradient,
  there is a *probe*: the limit is halved for two windows, and the median of the second one counts; in the first one the
  upstream's queue drains. As long as that makes responses quicker by a third, the limit is halved again. Then the last
  median is the floor, and the limit is set by the formula from the earlier values of both. A probe whose load goes away
  ends, and the limit is as before.

A time-out, or an app that did not wait for longer than the floor, is a sample, too: the response would have taken at
least as long. An answer of 429 or 503 counts as twice the
floor, for it came early because the upstream is full. Other errors say nothing about latency.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

FIRST: Final = 64  # requests, before anything is known
LEAST: Final = 4  # requests
_WINDOW: Final = 0.1  # seconds
_FEWEST: Final = 10  # samples of a window
_MOST: Final = 250  # samples that a window keeps
_STALE: Final = 10.0  # seconds after which the samples of an unfinished window are forgotten; at least two latencies
_TOLERANCE: Final = 1.5  # times the floor
_NOISE: Final = 0.002  # seconds
_STEEPEST: Final = 0.5  # the lowest gradient
_SMOOTHING: Final = 0.5  # of the way to the new limit in one window
_FLOOR_SHARE: Final = 0.1  # of a window in the floor
_PROBE_EVERY: Final = 30.0  # seconds
_FIRST_PROBE: Final = 3.0  # seconds
_HELPS: Final = 0.7  # of the latency before: then half of the requests were a queue
_STEEP_WINDOWS: Final = 10

# The phases of a probe.
_NONE: Final = 0
_DRAINING: Final = 1
_MEASURING: Final = 2


class ConcurrencyLimit:
    """The limit of one upstream. Its admission asks it, its balancer gives it samples."""

    __slots__ = (
        "_before",
        "_busiest",
        "_exact",
        "_most",
        "_phase",
        "_probe_at",
        "_probed",
        "_samples",
        "_steep",
        "_window_at",
        "floor",
        "latency",
        "limit",
    )

    def __init__(self, most: int) -> None:
        """`most` requests are allowed at once at any latency."""
        self._most = float(most)
        self._exact: float = float(min(most, FIRST))
        self.limit: int = int(self._exact)  # only read elsewhere
        self.floor = 0.0  # seconds without a queue; 0 before the first window
        self.latency = 0.0  # seconds, of the last window
        self._samples: list[float] = []
        self._window_at = 0.0  # when the window began
        self._busiest = 0  # the most requests at once in the window
        self._steep = 0  # windows in a row with the lowest gradient
        self._phase = _NONE
        self._probe_at = 0.0  # when the next probe is due
        self._before = 0.0  # the latency before the probe
        self._probed = 0.0  # the latency before its last step

    def note_use(self, waiting: int) -> None:
        """Note that so many requests wait for a response now."""
        self._busiest = max(self._busiest, waiting)

    def on_latency(self, seconds: float, now: float) -> None:
        """Take up a sample: the head of a response came after this time, or had not come by then."""
        samples = self._samples
        is_stale = now - self._window_at > max(_STALE, 2.0 * self.latency)
        if is_stale and self._phase:  # the load has gone, and with it what the probe would show
            self._phase = _NONE
            self._set(self._exact)
        if is_stale or not samples:
            self._samples = samples = []
            self._window_at = now
            self._busiest = max(self._busiest, 1)
        if len(samples) < _MOST:
            samples.append(seconds)
        if len(samples) >= _FEWEST and now - self._window_at >= max(_WINDOW, self.latency):
            self._end_window(now)

    def on_refusal(self, seconds: float, now: float) -> None:
        """Take up an answer of 429 or 503 that came after this time."""
        self.on_latency(max(seconds, 2.0 * self.floor), now)

    def on_failure(self, seconds: float, now: float) -> None:
        """Take up an attempt that had no response after this time: it would have taken longer, if that was long."""
        if seconds > self.floor > 0.0:
            self.on_latency(seconds, now)

    def _end_window(self, now: float) -> None:
        samples, self._samples = self._samples, []
        busiest, self._busiest = self._busiest, 0
        samples.sort()
        self.latency = median = samples[len(samples) // 2]
        if not self.floor:
            self.floor = median
            self._probe_at = now + _FIRST_PROBE
        if self._phase == _DRAINING:
            self._phase = _MEASURING
        elif self._phase == _MEASURING:
            self._end_step(median)
        elif 2 * busiest < self.limit:
            self.floor += (median - self.floor) * _FLOOR_SHARE
            self._steep = 0
            self._probe_at = now + _PROBE_EVERY
        else:
            self._follow(median, now)

    def _follow(self, median: float, now: float) -> None:
        """Change the limit after a window with much use."""
        if median < self.floor:
            self.floor += (median - self.floor) * _FLOOR_SHARE
        gradient = max(_STEEPEST, self._gradient(median))
        self._steep = self._steep + 1 if gradient <= _STEEPEST else 0
        wanted = gradient * self._exact + sqrt(self._exact)
        self._set(self._exact + (wanted - self._exact) * _SMOOTHING)
        if now >= self._probe_at or self._steep >= _STEEP_WINDOWS:
            self._steep, self._probe_at, self._before = 0, now + _PROBE_EVERY, median
            self._halve(median)

    def _halve(self, median: float) -> None:
        """Begin a step of a probe. `median` is the latency before it."""
        self._phase, self._probed = _DRAINING, median
        self.limit = max(1, self.limit // 2)

    def _end_step(self, median: float) -> None:
        """End a step of a probe, in which the latency was `median`."""
        if median < _HELPS * self._probed and self.limit > 1:
            self._halve(median)
            return
        self._phase = _NONE
        self.floor = median
        self._set(min(self._exact, self._gradient(self._before) * self._exact + sqrt(self._exact)))

    def _gradient(self, median: float) -> float:
        return min(1.0, (_TOLERANCE * self.floor + _NOISE) / max(median, 1e-9))

    def _set(self, limit: float) -> None:
        self._exact = min(self._most, max(min(float(LEAST), self._most), limit))
        self.limit = int(self._exact)
