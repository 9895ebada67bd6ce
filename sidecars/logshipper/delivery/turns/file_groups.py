"""The groups of files that take turns: the files of a Pod or namespace, by the fields of their paths (PATH_FIELDS)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from sidecars.logshipper.delivery.turns.fair_turns import FairTurns
from sidecars.logshipper.transform.parsing.path_fields import PathFields

T = TypeVar("T")

_POD = ("namespace", "pod", "pod_uid")  # fields that say which Pod a file belongs to


class InputGroups:
    """The groups of the files of one input with PATH_FIELDS.

    `fair_by`: the fields by whose values files share a turn; None: those of the Pod.
    """

    def __init__(self, fields: PathFields, fair_by: tuple[str, ...] | None) -> None:
        self._fields = fields
        self._names = fair_by or tuple(name for name in _POD if name in fields.names)

    def of(self, path: str) -> Hashable:
        """Return the group of the file that was first seen under this path: itself if the path has no such fields."""
        values = self._fields.of(path)
        return tuple(values[name] for name in self._names) if values and self._names else path


class Groups:
    """The groups of all files. Owned by the app, shared by all sinks. `inputs`: those with PATH_FIELDS."""

    def __init__(self, inputs: Mapping[str, InputGroups]) -> None:
        self._inputs = inputs

    def of(self, input_name: str, path: str) -> Hashable:
        """Return the group of a file; its path if its input has no groups."""
        of_input = self._inputs.get(input_name)
        return path if of_input is None else of_input.of(path)

    def turns(self, input_and_path: Callable[[T], tuple[str, str]]) -> FairTurns[T]:
        """Return the turns of one sink, whose items have this input and path."""
        return FairTurns(lambda item: self.of(*input_and_path(item)))
