"""Samples of a page in a form that can be compared: those of our parser, and those of prometheus-client's."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric

from sidecars.adapter.exposition.exposition import Exposition

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], tuple[str, float | None]]
"""By name and labels: the value as text (so that NaN is equal to itself), and the time, rounded to a microsecond."""


def own_samples(exposition: Exposition, *, text: bool) -> Samples:
    return {
        (bare_name(one.name, text=text), one.labels): (repr(one.value), _time(one.timestamp))
        for name in exposition.metric_names()
        for one in exposition.select(name)
    }


def client_samples(families: Iterable[Metric], *, text: bool) -> Samples:
    """Return the samples of prometheus-client: the last of several points in time, and no empty labels."""
    return {
        (bare_name(one.name, text=text), tuple(sorted(label for label in one.labels.items() if label[1]))): (
            repr(float(one.value)),
            _time(one.timestamp),
        )
        for family in families
        for one in family.samples
    }


def bare_name(name: str, *, text: bool) -> str:
    """Remove text's _total: prometheus-client adds it to the counters of text that lack it."""
    return name.removesuffix("_total") if text else name


def _time(timestamp: object) -> float | None:
    return None if timestamp is None else round(float(timestamp), 6)  # type: ignore[arg-type] # prometheus-client's own type
