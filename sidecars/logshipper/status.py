"""The page `/status`: the accounts of each file and sink, and the troubles that last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidecars.logshipper.delivery.shipper import Shipper
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.state.store import Store


def page(
    shippers: Iterable[Shipper], ledgers: Mapping[str, Ledger], follower: Follower, store: Store
) -> Mapping[str, Any]:
    """Return the page, as JSON values."""
    return {
        "sinks": {shipper.name: _sink(shipper, ledgers[shipper.name], follower) for shipper in shippers},
        "unreadable": follower.access.unreadable,
        "unreadable_count": follower.access.unreadable_count,
        "not_followed": follower.access.not_followed,
        "unreadable_inputs": follower.unreadable_inputs(),
        "missing_rotated_files": follower.missing,
        "open_files": follower.open_files.status(follower.tails.values()),
        "state_problem": store.problem,
    }


def _sink(shipper: Shipper, ledger: Ledger, follower: Follower) -> Mapping[str, Any]:
    tails = follower.tails
    pending = {generation: tail.pending(shipper.name) for generation, tail in tails.items()}
    files = [
        {
            "generation": generation,
            "file": tail.state.first_path,
            "path": tail.state.path,
            "position": tail.position(shipper.name).offset,
            "size": tail.state.size,
            **ledger.files[generation].as_dict(),
        }
        for generation, tail in tails.items()
    ]
    return {
        **ledger.total.as_dict(),
        "balanced": not ledger.check(pending),
        "trouble": shipper.trouble,
        "last_rejection": shipper.rejections.last,
        "in_flight": shipper.in_flight,
        "files": files,
    }
