"""Three invented hours of three Pods, for the series that the sidecars really expose. No chance: equal at each run.

The story: a sink is down from minute 50 to 70, a new release comes in minute 90, an endpoint of the upstream fails from
minute 100 to 120, and a rule of the app fails in one Pod from minute 165 on. The rest is a calm day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

from tools.monitoring.exposed import FURTHER

BEGIN = 1_767_871_200  # Unix time of the first sample: 2026-01-08T11:20:00Z
MINUTES = 180
PODS = ("shop-7d4b9c6f5-4xkqz", "shop-7d4b9c6f5-8mwpt", "shop-7d4b9c6f5-r2hvn")
ENDPOINTS = ("10.2.1.11:8080", "10.2.2.7:8080", "10.2.3.19:8080")
BROKEN = ENDPOINTS[1]
RELEASES = ("5b1c7f04a9d2e386", "c90e44d17ab35f28")
_MIB = 1024.0 * 1024

Labels = Mapping[str, str]
Model = Callable[[Labels, int, int], float]
"""The value of a gauge, or the growth of a counter in a minute; from the labels, the Pod's number and the minute."""


def _within(minute: int, first: int, last: int) -> bool:
    return first <= minute < last


def _wave(pod: int, minute: int, seed: float = 0.0) -> float:
    """Return a number around 1 that looks like traffic."""
    slow = 0.18 * math.sin(minute / 29 + seed) + 0.05 * math.sin(minute / 5.3 + pod)
    return 1 + slow + 0.03 * math.sin(minute * 2.7 + pod * 1.9 + seed)


def _failing(minute: int) -> bool:
    return _within(minute, 100, 120)


def _requests(labels: Labels, pod: int, minute: int) -> float:
    total = 2400 * _wave(pod, minute)
    if not _failing(minute):
        shares = {"200": 0.985, "404": 0.0149, "499": 0.0001}
    else:
        shares = {"200": 0.962, "404": 0.0149, "499": 0.002, "503": 0.017, "504": 0.004}
    return total * shares.get(labels["code"], 0.0)


def _errors(labels: Labels, pod: int, minute: int) -> float:
    shares = {"connection_refused": 0.012, "http_response_timeout": 0.004, "connection_terminated": 0.001}
    return 2400 * _wave(pod, minute) * shares.get(labels["error"], 0.0) if _failing(minute) else 0.0


def _share_below(bound: str, median: float) -> float:
    """Return the share of a log-normal spread around the median that is not above the bound, in seconds."""
    limit = math.inf if bound == "+Inf" else float(bound)
    return 1.0 if math.isinf(limit) else 0.5 * (1 + math.erf(math.log(limit / median) / (0.7 * math.sqrt(2))))


def _spread(total: float, median: Callable[[Labels, int], float]) -> Model:
    """Return the growth of a histogram's series, with so many observations a minute."""

    def model(labels: Labels, pod: int, minute: int) -> float:
        growth = total * _wave(pod, minute)
        middle = median(labels, minute)
        if "le" in labels:
            return growth * _share_below(labels["le"], middle)
        return growth

    return model


def _endpoint_share(labels: Labels, minute: int) -> float:
    if not _failing(minute):
        return 1 / 3
    return 0.06 if labels["endpoint"] == BROKEN else 0.47


def _backlog(pod: int, minute: int) -> float:
    if minute < 50:
        return 20_000.0 * _wave(pod, minute)
    if minute < 70:
        return 20_000.0 + (minute - 50) * 4.5 * _MIB
    return max(20_000.0 * _wave(pod, minute), (70 - 50) * 4.5 * _MIB - (minute - 70) * 9 * _MIB)


def _delivered(minute: int) -> float:
    if _within(minute, 50, 70):
        return 0.0
    return 3.0 if _within(minute, 70, 80) else 1.0


def _oldest(pod: int, minute: int) -> float:
    if _within(minute, 50, 70):
        return (minute - 50) * 60.0
    return max(0.4 * _wave(pod, minute), (80 - minute) * 120.0 if _within(minute, 70, 80) else 0.0)


def _rule_failing(pod: int, minute: int) -> bool:
    return pod == 1 and minute >= 165


def _verdict(labels: Labels, pod: int, minute: int) -> float:
    return float(labels["status"] == ("fail" if _rule_failing(pod, minute) else "pass"))


def _probes(labels: Labels, pod: int, minute: int) -> float:
    return 18.0 if labels["code"] == ("503" if _rule_failing(pod, minute) else "200") else 0.0


def _released(pod: int, minute: int) -> bool:
    return minute >= 90 + 2 * pod


def _memory(labels: Labels, pod: int, minute: int) -> float:
    base = {"warcopier": 17.8, "logshipper": 21.0, "ambassador": 24.0, "adapter": 19.0}[labels["container"]]
    return base * _MIB * (1 + 0.03 * math.sin(minute / 40 + pod))


def _cpu(labels: Labels, pod: int, minute: int) -> float:
    share = {"warcopier": 0.002, "logshipper": 0.03, "ambassador": 0.14, "adapter": 0.004}[labels["container"]]
    return 60 * share * _wave(pod, minute, share)


def _const(value: float) -> Model:
    return lambda _labels, _pod, _minute: value


def _by(label: str, **values: float) -> Model:
    return lambda labels, _pod, _minute: values.get(labels[label], 0.0)


def _log_lines(labels: Labels, pod: int, minute: int) -> float:
    trouble = {
        "ambassador": _failing(minute) and minute % 5 == pod,
        "logshipper": _within(minute, 50, 70) and minute % 6 == pod,
        "adapter": pod == 1 and minute == 165,
        "warcopier": False,
    }
    return float(labels["level"] == "warning" and trouble[labels["container"]])


MODELS: dict[str, Model] = {
    "adapter_request_duration_seconds": _spread(18, lambda _labels, _minute: 0.006),
    "adapter_requests": _probes,
    "adapter_rule_pass": lambda _labels, pod, minute: float(not _rule_failing(pod, minute)),
    "adapter_rule_value": lambda _labels, pod, minute: (
        14.0 if _rule_failing(pod, minute) else round(3 * _wave(pod, minute))
    ),
    "adapter_rules_current": _const(1),
    "adapter_up": lambda _labels, pod, minute: float(not _rule_failing(pod, minute)),
    "adapter_upstream_errors": lambda labels, pod, minute: float(
        labels["reason"] == "timeout" and minute % 47 == 9 * pod
    ),
    "adapter_upstream_requests": _const(18),
    "adapter_verdict": _verdict,
    "ambassador_buffer_bytes": lambda _labels, pod, minute: round(
        (3.1e6 if _failing(minute) else 1.4e6) * _wave(pod, minute)
    ),
    "ambassador_buffer_limit_bytes": _const(64 * 1024 * 1024),
    "ambassador_downstream_connections_limit": _const(256),
    "ambassador_downstream_connections_open": lambda _labels, pod, minute: round(38 * _wave(pod, minute)),
    "ambassador_downstream_sent_bytes": lambda _labels, pod, minute: 2400 * 5200 * _wave(pod, minute),
    "ambassador_endpoint_connections_open": lambda labels, _pod, minute: round(36 * _endpoint_share(labels, minute)),
    "ambassador_endpoint_cost_seconds": lambda labels, _pod, minute: (
        0.9
        if _failing(minute) and labels["endpoint"] == BROKEN
        else 0.012 + 0.001 * ENDPOINTS.index(labels["endpoint"])
    ),
    "ambassador_endpoint_ejected": lambda labels, pod, minute: float(
        labels["endpoint"] == BROKEN and _failing(minute) and (minute + pod) % 4 > 0
    ),
    "ambassador_endpoint_failures": lambda labels, pod, minute: (
        60 * _wave(pod, minute) if _failing(minute) and labels["endpoint"] == BROKEN else 0.0
    ),
    "ambassador_endpoint_healthy": lambda labels, _pod, minute: float(
        not (_failing(minute) and labels["endpoint"] == BROKEN)
    ),
    "ambassador_endpoint_pending": lambda labels, pod, minute: round(
        2.2 * _wave(pod, minute) * _endpoint_share(labels, minute)
    ),
    "ambassador_endpoint_requests": lambda labels, pod, minute: (
        2400 * _wave(pod, minute) * _endpoint_share(labels, minute)
    ),
    "ambassador_endpoint_response_seconds": _spread(
        800, lambda labels, minute: 0.4 if _failing(minute) and labels["endpoint"] == BROKEN else 0.011
    ),
    "ambassador_errors": _errors,
    "ambassador_grpc_calls": lambda labels, pod, minute: (
        900 * _wave(pod, minute) if labels["grpc_status"] == "0" else 0.0
    ),
    "ambassador_request_duration_seconds": _spread(2400, lambda _labels, minute: 0.03 if _failing(minute) else 0.012),
    "ambassador_requests": _requests,
    "ambassador_upstream_connect_failures": lambda _labels, pod, minute: (
        30 * _wave(pod, minute) if _failing(minute) else 0
    ),
    "ambassador_upstream_connections_idle": lambda _labels, pod, minute: round(31 * _wave(pod, minute)),
    "ambassador_upstream_connections_open": lambda _labels, pod, minute: round(36 * _wave(pod, minute)),
    "ambassador_upstream_connects": lambda _labels, pod, minute: (60 if _failing(minute) else 6) * _wave(pod, minute),
    "ambassador_upstream_dns_age_seconds": lambda _labels, pod, minute: float((minute * 7 + pod * 3) % 30),
    "ambassador_upstream_ejections": lambda _labels, pod, minute: float(_failing(minute) and (minute + pod) % 4 == 1),
    "ambassador_upstream_endpoints": _const(3),
    "ambassador_upstream_endpoints_down": lambda _labels, _pod, minute: float(_failing(minute)),
    "ambassador_upstream_idle_races": lambda _labels, pod, minute: float(minute % 11 == pod),
    "ambassador_upstream_received_bytes": lambda _labels, pod, minute: 2400 * 5180 * _wave(pod, minute),
    "ambassador_upstream_retries": lambda _labels, pod, minute: 70 * _wave(pod, minute) if _failing(minute) else 0.0,
    "ambassador_upstream_sent_bytes": lambda _labels, pod, minute: 2400 * 640 * _wave(pod, minute),
    "ambassador_upstream_unprocessed": lambda _labels, pod, minute: float(minute % 17 == pod),
    "logshipper_batches": lambda labels, pod, minute: {
        "delivered": 60 * _delivered(minute) * _wave(pod, minute),
        "retried": 6.0 if _within(minute, 50, 70) else 0.0,
    }.get(labels["outcome"], 0.0),
    "logshipper_delivered_bytes": lambda _labels, pod, minute: 4.5 * _MIB * _delivered(minute) * _wave(pod, minute),
    "logshipper_delivered_lines": lambda _labels, pod, minute: 21_000 * _delivered(minute) * _wave(pod, minute),
    "logshipper_delivery_seconds": _spread(60, lambda _labels, minute: 300.0 if _within(minute, 70, 80) else 0.6),
    "logshipper_dropped_bytes": lambda labels, pod, minute: (
        90_000 * _wave(pod, minute) if labels["reason"] == "filtered" else 0.0
    ),
    "logshipper_files": _by("state", followed=4, open=4),
    "logshipper_held_deleted_bytes": lambda _labels, pod, minute: (
        32 * _MIB * (pod + 1) if _within(minute, 58, 76) else 0.0
    ),
    "logshipper_last_success_timestamp_seconds": lambda _labels, _pod, minute: (
        BEGIN + 60.0 * (50 if _within(minute, 50, 70) else minute)
    ),
    "logshipper_oldest_unacked_seconds": lambda _labels, pod, minute: _oldest(pod, minute),
    "logshipper_pending_bytes": lambda _labels, pod, minute: _backlog(pod, minute),
    "logshipper_read_bytes": lambda _labels, pod, minute: 4.5 * _MIB * _wave(pod, minute),
    "logshipper_state_saved": _const(1),
    "process_cpu_seconds": _cpu,
    "process_max_fds": _const(1024),
    "process_open_fds": lambda labels, pod, minute: (
        88 * _wave(pod, minute) if labels["container"] == "ambassador" else 17.0
    ),
    "process_resident_memory_bytes": _memory,
    "process_start_time_seconds": lambda _labels, pod, _minute: BEGIN - 86_400.0 * 3 + 7 * pod,
    "sidecar_build_info": _const(1),
    "sidecar_confinement": _const(1),
    "sidecar_connections_shed": lambda _labels, pod, minute: float(minute % 60 == pod),
    "sidecar_log_messages": _log_lines,
    "sidecar_ready": _const(1),
    "warcopier_artifact_info": lambda labels, pod, minute: float(labels["sha256"] == RELEASES[_released(pod, minute)]),
    "warcopier_copied_bytes": lambda _labels, pod, minute: 41 * _MIB if minute == 90 + 2 * pod else 0.0,
    "warcopier_last_run_seconds": lambda _labels, pod, minute: 1.9 if _released(pod, minute) else 1.7,
    "warcopier_last_success_timestamp_seconds": lambda _labels, pod, minute: (
        BEGIN + (60.0 * (90 + 2 * pod) if _released(pod, minute) else -86_400.0)
    ),
    "warcopier_published": lambda _labels, pod, minute: float(minute == 90 + 2 * pod),
    "warcopier_runs": lambda labels, pod, minute: float(labels["result"] == "published" and minute == 90 + 2 * pod),
}
"""All other series are 0: nothing of their kind happens."""

_VALUES = {"endpoint": ENDPOINTS, "sha256": RELEASES, "code": ("200", "404", "499", "500", "502", "503", "504")}
_ABSENT_AT_ZERO = {"warcopier_artifact_info"}
_ALERTS = {
    "LogshipperNotDelivering": ("critical", 60, 70),
    "AmbassadorErrorBudgetFast": ("critical", 108, 124),
    "AdapterAppDown": ("critical", 170, MINUTES + 1),
    "AdapterVerdictFail": ("warning", 170, MINUTES + 1),
}


def openmetrics(pages: Mapping[str, str]) -> str:
    """Return the samples of all series, for promtool. `pages` are those of the sidecars that run."""
    lines: dict[str, list[str]] = {}
    for name, kind, series in _families(pages):
        for suffix, labels, pod in series:
            samples = _samples(name, kind, labels, pod)
            text = ",".join(f'{label}="{value}"' for label, value in labels.items())
            lines.setdefault(f"# TYPE {name} {kind}\n", []).extend(
                f"{name}{suffix}{{{text}}} {value:.12g} {BEGIN + 60 * minute}\n" for minute, value in samples
            )
    lines["# TYPE ALERTS gauge\n"] = [
        f'ALERTS{{alertname="{name}",alertstate="firing",namespace="shop",severity="{severity}"}} 1 {BEGIN + 60 * at}\n'
        for name, (severity, first, last) in _ALERTS.items()
        for at in range(first, last)
    ]
    return "".join(kind + "".join(samples) for kind, samples in lines.items()) + "# EOF\n"


def _samples(name: str, kind: str, labels: Labels, pod: int) -> Iterator[tuple[int, float]]:
    model, total = MODELS.get(name, _const(0)), 0.0
    for minute in range(MINUTES + 1):
        value = model(labels, pod, minute)
        if kind != "gauge":
            total += value
            value = total
        if value or name not in _ABSENT_AT_ZERO:
            yield minute, value


Series = Iterator[tuple[str, dict[str, str], int]]


def _families(pages: Mapping[str, str]) -> Iterator[tuple[str, str, Series]]:
    found: dict[str, tuple[str, dict[tuple[str, str, tuple[tuple[str, str], ...]], int]]] = {}
    for container, page in pages.items():
        if container in FURTHER:
            continue
        for metric in text_string_to_metric_families(page):
            if metric.name.endswith("_created"):
                continue
            kind, series = found.setdefault(metric.name, (metric.type, {}))
            for sample in metric.samples:
                for labels in _spread_out(sample.labels):
                    for number, pod in enumerate(PODS):
                        target = {"namespace": "shop", "pod": pod, "container": container, "job": "sidecars"}
                        target["instance"] = f"10.1.0.{number + 4}:99{list(pages).index(container) + 10}"
                        series[sample.name.removeprefix(metric.name), kind, tuple({**labels, **target}.items())] = (
                            number
                        )
    for name, (kind, several) in found.items():
        yield name, kind, ((suffix, dict(labels), number) for (suffix, _, labels), number in several.items())


def _spread_out(labels: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the labels of a sample, once for each of the invented values of a label."""
    for label, values in _VALUES.items():
        if label in labels:
            yield from ({**labels, label: value} for value in values)
            return
    yield dict(labels)
