"""The names of the worlds and of the faults that each must find. No world is imported: it would replace the clocks."""

from __future__ import annotations

WORLDS = ("adapter", "ambassador", "chassis", "logshipper")

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
    "settle_before_delivery": "logshipper",
    "rename_the_snapshot_without_fsync": "logshipper",
    "begin_the_journal_after_the_snapshot": "logshipper",
    "forget_what_is_sent": "logshipper",
    "take_an_error_for_a_delivery": "logshipper",
    "give_up_a_deleted_file": "logshipper",
    "find_files_by_their_inodes": "logshipper",
    "settle_a_batch_that_is_late": "logshipper",
    "give_every_sink_all_inputs": "logshipper",
    "give_up_without_a_letter": "logshipper",
    "close_a_quiet_file_that_is_not_delivered": "logshipper",
    "take_a_file_for_the_closed_one_with_its_inode": "logshipper",
    "forget_a_generation_that_was_compressed": "logshipper",
    "read_a_compressed_file_before_it_is_whole": "logshipper",
}
"""Each deliberate fault (`mutants`), with the world that must find it."""

FOUND_BY = {"begin_the_journal_after_the_snapshot": 90, "read_a_compressed_file_before_it_is_whole": 244}
"""The seeds that have found faults which few seeds find: they are tried first, since all before them take a minute."""
