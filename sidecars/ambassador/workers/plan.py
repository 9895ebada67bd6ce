"""The plan of a worker: the part that the supervisor gives it on its command line. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """The number of a worker, and the file descriptors that it inherits."""

    number: int
    control: int  # descriptor of the connection on which the worker reports
    farewell: int  # descriptor of the pipe for the failure that the worker ends with
    counts: int  # descriptor of the table with the number of connections of each worker (`shares`)
    listeners: Mapping[str, list[int]]  # descriptors of listening sockets, by the names of the ports

    def __str__(self) -> str:
        return json.dumps([self.number, self.control, self.farewell, self.counts, self.listeners])

    @classmethod
    def parse(cls, text: str) -> WorkerPlan:
        """Return the plan that `str()` has written."""
        return cls(*json.loads(text))
