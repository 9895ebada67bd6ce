"""The names of the worlds and of the faults that each must find. No world is imported: it would replace the clocks."""

from __future__ import annotations

WORLDS = ("adapter", "ambassador", "chassis")

FAULTS = {
    "use_a_response_for_ever": "adapter",
    "pass_without_a_response": "adapter",
    "repeat_what_was_seen": "ambassador",
    "reuse_before_the_request_is_sent": "ambassador",
    "end_in_order_when_broken": "ambassador",
    "forget_that_the_app_has_left": "ambassador",
    "raise_in_a_health_check": "ambassador",
    "refuse_the_newcomer": "chassis",
    "wait_for_silent_clients_for_ever": "chassis",
    "leave_connections_open_at_the_end": "chassis",
}
"""Each deliberate fault (`mutants`), with the world that must find it."""
