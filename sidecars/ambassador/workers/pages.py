"""The workers' parts of `/status`, merged to one. No I/O.

Ints are added, of floats the greatest counts, True is True if it is so in one worker, and different texts stand beside
each other. The items of lists are merged by their names. Some members mean the same in every worker:

    _GREATEST   counts of what each worker sees
    _LEAST      the time since when something is so: the workers together since the last of them has changed
    _WORST      a condition: the worst of the workers comes first

Workers report all endpoints. The page lists the worst: they are chosen before anything is merged, which costs time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Any, Final

from sidecars.ambassador.status import conditions
from sidecars.ambassador.status.selection import shares
from sidecars.ambassador.status.upstream_status import left_out_notes

_GREATEST: Final = frozenset({"endpoints_known", "endpoints_down", "endpoints_leaving", "slices", "listed"})
_LEAST: Final = frozenset({"state_seconds", "condition_seconds", "ends_in_seconds"})
_WORST: Final = frozenset({"condition", "state"})
_SUMS: Final = ("connections", "requests")  # of an upstream
_LISTS: Final = ("endpoints", "leaving")  # of a target

Page = Mapping[str, Any]


def together(pages: Sequence[Page]) -> dict[str, Any]:
    """Return the page of all workers, with the worst endpoints."""
    pages = [page for page in pages if page]
    if not pages:
        return {}
    ranks = _ranks(pages)
    places = shares({name: len(found) for name, found in ranks.items()})
    listed = {name: set(nlargest(places[name], found, key=found.__getitem__)) for name, found in ranks.items()}
    merged = merge_pages([{**_cut(page, listed), "trouble": None} for page in pages])
    merged["trouble"] = _troubles([one for page in pages for one in page.get("trouble", ())])
    sizes = {name: len(found) for name, found in ranks.items()}
    for name, upstream in merged["upstreams"].items():
        upstream["endpoints_left_out"] = sizes[name] - places[name]
    merged["notes"] += left_out_notes(sizes, places)
    return dict(merged)


def summary(page: Page) -> dict[str, Any]:
    """Return the page of one worker without its endpoints, and its sums over all upstreams."""
    if not page:
        return {}
    upstreams = {
        name: {key: value for key, value in upstream.items() if key != "targets"}
        for name, upstream in page["upstreams"].items()
    }
    return {
        **page,
        **{f"{key}_together": sum(each[key] for each in upstreams.values()) for key in _SUMS},
        "upstreams": upstreams,
    }


def _troubles(troubles: Sequence[Page]) -> list[dict[str, Any]]:
    """Return one entry for each code: the latest, with the count of all. Errors come first, then the latest."""
    latest: dict[str, Page] = {}
    for one in sorted(troubles, key=lambda one: (one["level"] != "error", one["age_seconds"])):
        latest.setdefault(one["code"], one)
    return [
        {**kept, "count": sum(one["count"] for one in troubles if one["code"] == code)} for code, kept in latest.items()
    ]


Address = tuple[str, str]  # of a target


def _ranks(pages: Sequence[Page]) -> dict[str, dict[Address, tuple[bool, int, int, int]]]:
    """Return the sort key of each endpoint of each upstream: that of the worker in which it is worst."""
    found: dict[str, dict[Address, tuple[bool, int, int, int]]] = {}
    for page in pages:
        for name, upstream in page["upstreams"].items():
            ranks = found.setdefault(name, {})
            for target in upstream["targets"]:
                for one in (*target["endpoints"], *target["leaving"]):
                    rank = (
                        one["condition"] not in conditions.GOOD,
                        one["failures_in_a_row"],
                        one["failed"],
                        one["requests"],
                    )
                    key = target["target"], one["address"]
                    ranks[key] = max(ranks.get(key, rank), rank)
    return found


def _cut(page: Page, listed: Mapping[str, set[Address]]) -> dict[str, Any]:
    """Return the page with the listed endpoints alone."""

    def cut(name: str, target: Page) -> dict[str, Any]:
        lists = {
            key: [one for one in target[key] if (target["target"], one["address"]) in listed[name]] for key in _LISTS
        }
        return {**target, **lists}

    return {
        **page,
        "upstreams": {
            name: {**upstream, "targets": [cut(name, target) for target in upstream["targets"]]}
            for name, upstream in page["upstreams"].items()
        },
    }


def merge_pages(pages: Sequence[Any], name: str = "") -> Any:
    """Merge values of the member `name`, of several workers, to one."""
    if None in pages:
        pages = [page for page in pages if page is not None]
    if not pages:
        return None
    kind = type(pages[0])
    if kind is int or kind is float:
        return _merge_numbers(pages, name)
    if kind is dict:
        return {key: merge_pages([page.get(key) for page in pages], key) for key in _keys(pages)}
    if kind is list:
        return _merge_items([item for page in pages for item in page])
    if kind is bool:
        return any(pages)
    return _merge_texts(pages, name)


def _keys(pages: Sequence[Page]) -> Iterable[str]:
    first = pages[0].keys()
    if all(page.keys() == first for page in pages):
        return first
    return dict.fromkeys(key for page in pages for key in page)


def _merge_texts(texts: Sequence[Any], name: str) -> str:
    first: str = texts[0]
    if texts.count(first) == len(texts):
        return first
    different = [text for text in dict.fromkeys(map(str, texts)) if text]
    if name in _WORST:
        different.sort(key=_badness)
    return ", ".join(different)


def _badness(word: str) -> int:
    order = conditions.WORST_FIRST
    return order.index(word) if word in order else 0


def _merge_numbers(numbers: Sequence[float], name: str) -> float:
    if name in _LEAST:
        return min(numbers)
    total = sum(numbers)
    return total if isinstance(total, int) and name not in _GREATEST else max(numbers)


def _merge_items(items: list[Any]) -> list[Any]:
    """Merge the items that have the same name: a target, an address or an error. Texts are named by themselves."""
    groups: dict[str, list[Any]] = {}
    for item in items:
        name = item
        if isinstance(item, dict):
            name = item.get("address") or item.get("target") or item.get("error")
        groups.setdefault(str(name), []).append(item)
    return [merge_pages(group) for group in groups.values()]
