"""Reports of the workers: encoding, decoding, and merging their metrics to one set. No I/O.

A report is one line of JSON: the reasons why the worker is not ready or not alive, its part of `/status`, and its
metrics. Merged counters and histograms are sums over all workers, those that have ended included, so that a restart
makes no counter fall. Some merged gauges are sums. Gauges that mean the same in every worker are merged to the greatest
or the least value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import Exemplar, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from sidecars.chassis.runtime.lifecycle import Failure

MAX_SIZE = 16 * 1024 * 1024  # bytes of one report
LISTENER = "listener"  # the part whose latch a data path holds until it listens

_CUMULATIVE = frozenset({"counter", "histogram"})
# How each gauge of the workers is merged.
SUMMED = frozenset(
    {
        "ambassador_buffer_bytes",
        "ambassador_buffer_limit_bytes",
        "ambassador_downstream_connections_limit",
        "ambassador_downstream_connections_open",
        "ambassador_endpoint_connections_idle",
        "ambassador_endpoint_connections_open",
        "ambassador_endpoint_pending",
        "ambassador_spans_waiting_bytes",
        "ambassador_upstream_concurrency_limit",
        "ambassador_upstream_connections_idle",
        "ambassador_upstream_connections_open",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    }
)
GREATEST = frozenset(
    {
        "ambassador_buffer_short",
        "ambassador_endpoint_cost_seconds",
        "ambassador_endpoint_ejected",
        "ambassador_endpoint_weight",
        "ambassador_upstream_dns_age_seconds",
        "ambassador_upstream_endpoints",
        "ambassador_upstream_endpoints_down",
        "ambassador_upstream_endpoints_leaving",
        "ambassador_upstream_kubernetes_age_seconds",
        "ambassador_upstream_kubernetes_away",
        "ambassador_upstream_kubernetes_by_dns",
        "ambassador_upstream_panic",
    }
)
LEAST = frozenset(
    {"ambassador_endpoint_healthy", "process_max_fds", "process_start_time_seconds", "sidecar_confinement"}
)

Key = tuple[str, tuple[tuple[str, str], ...]]  # a sample's name and labels


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of one worker, or of several merged, with its samples."""

    name: str
    type: str
    documentation: str
    samples: dict[Key, float]
    exemplars: dict[Key, Exemplar] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """The last report of a worker. Its supervisor holds it."""

    not_ready: list[str] = field(default_factory=list)
    not_alive: list[str] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)

    @property
    def is_listening(self) -> bool:
        """True if the worker has started well: all that can fail at a start is behind it."""
        return bool(self.status) and not any(reason.startswith(LISTENER) for reason in self.not_ready)


def encode(not_ready: Sequence[str], not_alive: Sequence[str], status: Mapping[str, Any], registry: Collector) -> bytes:
    """Return a report as it is sent, with a line feed at its end."""
    families = [
        [metric.name, metric.type, metric.documentation, [_sample(one) for one in metric.samples]]
        for metric in registry.collect()
    ]
    line = {"not_ready": not_ready, "not_alive": not_alive, "status": status, "families": families}
    return json.dumps(line, default=str, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Report:
    raw = json.loads(line)
    families = {
        name: Family(
            name,
            kind,
            words,
            {_key(sample, labels): value for sample, labels, value, *_ in samples},
            {_key(sample, labels): Exemplar(*more[0]) for sample, labels, _, *more in samples if more},
        )
        for name, kind, words, samples in raw["families"]
    }
    return Report(raw["not_ready"], raw["not_alive"], raw["status"], families)


_LONGEST_REASON = 4096  # characters: a line of the log has no more, and a pipe takes them without a reader


def encode_failure(failure: Failure) -> bytes:
    """Return the last words of a worker about the failure that it ends with: at most 32 KiB."""
    return json.dumps([failure.exit_code, failure.code, failure.reason[:_LONGEST_REASON]]).encode()


def decode_failure(text: bytes) -> Failure | None:
    """Return that failure; None if the worker has not said any."""
    if not text:
        return None
    exit_code, code, reason = json.loads(text)
    failure = Failure(reason, code="defect")
    failure.exit_code, failure.code = exit_code, code
    return failure


def _sample(one: Sample) -> list[Any]:
    found = [one.name, one.labels, one.value]
    if one.exemplar is not None:
        found.append([one.exemplar.labels, one.exemplar.value, one.exemplar.timestamp])
    return found


def _key(name: str, labels: Mapping[str, str]) -> Key:
    return name, tuple(labels.items())


# -- merging ------------------------------------------------------------------------------------------------------


def add_up(into: dict[str, Family], families: Iterable[Family]) -> None:
    """Add the counters and histograms of a worker that has ended to `into`."""
    for family in families:
        if family.type in _CUMULATIVE:
            known = into.setdefault(family.name, Family(family.name, family.type, family.documentation, {}))
            for key, value in family.samples.items():
                known.samples[key] = known.samples.get(key, 0.0) + value


def merge_metrics(several: Iterable[Mapping[str, Family]]) -> Iterator[Metric]:
    """Yield the merged metrics of all workers, each family once."""
    merged: dict[str, Family] = {}
    for families in several:
        for family in families.values():
            known = merged.setdefault(family.name, Family(family.name, family.type, family.documentation, {}))
            for key, value in family.samples.items():
                known.samples[key] = _merge_values(family, known.samples.get(key), value)
            for key, exemplar in family.exemplars.items():
                known.exemplars[key] = max(known.exemplars.get(key, exemplar), exemplar, key=_age)
    for family in merged.values():
        metric = Metric(family.name, family.documentation, family.type)
        metric.samples = [
            Sample(key[0], dict(key[1]), value, exemplar=family.exemplars.get(key))
            for key, value in family.samples.items()
        ]
        yield metric


def _age(exemplar: Exemplar) -> float:
    return float(exemplar.timestamp or 0.0)


def _merge_values(family: Family, known: float | None, value: float) -> float:
    if known is None:
        return value
    if family.type not in _CUMULATIVE:
        if family.name in GREATEST:
            return max(known, value)
        if family.name in LEAST:
            return min(known, value)
    return known + value
