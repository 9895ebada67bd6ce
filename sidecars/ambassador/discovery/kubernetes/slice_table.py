"""The EndpointSlices of one Service, as a list and the events of a watch give them. No I/O.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes

The watch begins at the resource version of the list. Each event carries a newer one, and a watch that has ended is
resumed from the last. By the type of an event:

    ADDED, MODIFIED   the slice replaces the one of that name
    DELETED           the slice is forgotten: it is gone, or it is of another Service now
    BOOKMARK          only the resource version is newer
    ERROR             410: that version is too old, so everything is listed again; others: the watch has failed

A list replaces everything at once, after its last page. A resource version is opaque: it is never compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sidecars.ambassador.discovery.kubernetes.documents import TooLarge, UnusableDocument
from sidecars.ambassador.discovery.kubernetes.endpoint_slices import EndpointSlice, parse_slice, resource_version

GONE: Final = 410
_MOST_SLICES: Final = 1000  # of a Service
_MOST_ENDPOINTS: Final = 10_000  # of all its slices


class VersionGone(Exception):
    """The resource version is too old to watch from: list again."""


class WatchFailed(Exception):
    """The watch has ended with an error. `status` is its HTTP status, 0 if there is none."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class SliceTable:
    """The slices of one Service. Its watch owns it."""

    def __init__(self, *, loopback: bool = False) -> None:
        """`loopback` is True if loopback addresses are accepted."""
        self._loopback = loopback
        self.slices: Mapping[str, EndpointSlice] = {}
        self.resource_version = ""  # to watch from; "" if a list is needed

    def replace(self, pages: Iterable[EndpointSlice], version: str) -> None:
        """Take up a whole list. Raises TooLarge."""
        slices = {each.name: each for each in pages}
        _check_sizes(slices)
        self.slices, self.resource_version = slices, version

    def parse_page(self, document: dict[str, Any]) -> list[EndpointSlice]:
        """Return the slices of one page of a list. Raises UnusableDocument."""
        items = document.get("items")
        if document.get("kind") != "EndpointSliceList" or not isinstance(items, list | None):
            raise UnusableDocument("the API server sent another document than a list of EndpointSlices")
        return [self._parse(each) for each in items or ()]

    def apply(self, event: dict[str, Any]) -> bool:
        """Apply one event of a watch. Return True if slices have changed.

        Raises VersionGone, WatchFailed and UnusableDocument.
        """
        kind, document = event.get("type"), event.get("object")
        if not isinstance(document, dict):
            raise UnusableDocument("the API server sent an event without an object")
        if kind == "ERROR":
            code = document.get("code")
            if code == GONE:
                self.forget_version()
                raise VersionGone
            raise WatchFailed(code if isinstance(code, int) else 0)
        if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            raise UnusableDocument("the API server sent an event of an unknown type")
        version = resource_version(document)
        if not version:
            raise UnusableDocument("the API server sent an event without a resource version")
        before = self.slices
        if kind == "DELETED":
            name = self._parse(document).name
            self.slices = {each: one for each, one in before.items() if each != name}
        elif kind != "BOOKMARK":
            slices = dict(before)
            changed = self._parse(document)
            slices[changed.name] = changed
            _check_sizes(slices)
            self.slices = slices
        self.resource_version = version
        return self.slices != before

    def forget_version(self) -> None:
        """Let the next attempt list again. The slices that are known stay."""
        self.resource_version = ""

    def _parse(self, document: Any) -> EndpointSlice:
        if not isinstance(document, dict):
            raise UnusableDocument("the API server sent an EndpointSlice that is no object")
        return parse_slice(document, loopback=self._loopback)


def check_number(endpoints: int, slices: int) -> None:
    """Raise TooLarge if a Service may not have so many."""
    if slices > _MOST_SLICES or endpoints > _MOST_ENDPOINTS:
        raise TooLarge(f"the Service has more than {_MOST_ENDPOINTS:,} endpoints or {_MOST_SLICES:,} EndpointSlices")


def _check_sizes(slices: Mapping[str, EndpointSlice]) -> None:
    check_number(sum(len(each.endpoints) for each in slices.values()), len(slices))
