"""Cancellation of long work on a page: a check between its parts. No I/O.

Parsing and writing a large page run in a thread of their own. A thread cannot be cancelled from outside. So the work
calls a `Checkpoint` after each part of the page. The `Checkpoint` of `app_client.background_threads` raises an
exception if nobody waits for the result any more.
"""

from __future__ import annotations

from collections.abc import Callable

Checkpoint = Callable[[], None]
"""Called between the parts of long work. An exception that it raises ends the work."""


def never_cancelled() -> None:
    """Return at once: the `Checkpoint` of work that nobody cancels."""
