"""For each alert a case in which it fires, and one in which it is quiet, in promtool's notation of series.

`0+5x60` begins with 0 and grows by 5 a minute, 60 times; `1x30` is 1 for 31 minutes. POD has the labels of a Pod.
`labels` are those of the alert that fires, and `value` is its value as the summary shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

POD = 'namespace="shop", pod="web-1"'
UPSTREAM = f'{POD}, upstream="orders"'
SINK = f'{POD}, sink="loki"'
OF_POD = {"namespace": "shop", "pod": "web-1"}
OF_UPSTREAM = {"namespace": "shop", "upstream": "orders"}
OF_BOTH = {**OF_POD, "upstream": "orders"}
OF_SINK = {**OF_POD, "sink": "loki"}


@dataclass(frozen=True)
class Case:
    """One alert: series with which it fires, series with which it is quiet, and when both are looked at."""

    alert: str
    at: str
    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    labels: Mapping[str, str]
    value: str = ""


def requests(good: str, bad: str) -> dict[str, str]:
    """Return the ambassador's requests: those with 200, and those with 503."""
    return {
        f'ambassador_requests_total{{{UPSTREAM}, code="200"}}': good,
        f'ambassador_requests_total{{{UPSTREAM}, code="503"}}': bad,
    }


def endpoints(down: str, panic: str) -> dict[str, str]:
    return {
        f"ambassador_upstream_endpoints{{{UPSTREAM}}}": "2x30",
        f"ambassador_upstream_endpoints_down{{{UPSTREAM}}}": down,
        f"ambassador_upstream_panic{{{UPSTREAM}}}": panic,
    }


def stale_dns(failures: str) -> dict[str, str]:
    return {
        f"ambassador_upstream_dns_age_seconds{{{UPSTREAM}}}": "400x30",
        f"ambassador_upstream_dns_failures_total{{{UPSTREAM}}}": failures,
    }


def retries(count: str) -> dict[str, str]:
    return {**requests("0+100x30", "0x30"), f"ambassador_upstream_retries_total{{{UPSTREAM}}}": count}


def durations(within_1s: str) -> dict[str, str]:
    name = "ambassador_request_duration_seconds_bucket"
    buckets = {"1.0": within_1s, "2.5": "0+100x30", "+Inf": "0+100x30"}
    return {f'{name}{{{UPSTREAM}, le="{bound}"}}': count for bound, count in buckets.items()}


def ejected(*values: str) -> dict[str, str]:
    name, labels = "ambassador_endpoint_ejected", 'upstream="orders", endpoint="10.0.0.7:8080"'
    pods = enumerate(values, 1)
    return {f'{name}{{namespace="shop", pod="web-{number}", {labels}}}': value for number, value in pods}


def connections(opened: str) -> dict[str, str]:
    return {
        f"ambassador_downstream_connections_open{{{UPSTREAM}}}": opened,
        f"ambassador_downstream_connections_limit{{{UPSTREAM}}}": "100x30",
    }


def waiting(delivered: str) -> dict[str, str]:
    return {
        f"logshipper_oldest_unacked_seconds{{{SINK}}}": "0+60x30",
        f"logshipper_delivered_bytes_total{{{SINK}}}": delivered,
    }


def dropped(reason: str) -> dict[str, str]:
    return {f'logshipper_dropped_bytes_total{{{SINK}, reason="{reason}"}}': "0x5 100x25"}


def batches(retried: str, delivered: str) -> dict[str, str]:
    counts = {"retried": retried, "delivered": delivered}
    return {f'logshipper_batches_total{{{SINK}, outcome="{outcome}"}}': count for outcome, count in counts.items()}


def app_errors(count: str) -> dict[str, str]:
    return {
        f'adapter_upstream_requests_total{{{POD}, app="default"}}': "0+100x30",
        f'adapter_upstream_errors_total{{{POD}, app="default", reason="timeout"}}': count,
    }


def memory(used: str) -> dict[str, str]:
    container = f'{POD}, container="logshipper"'
    return {
        f"container_memory_working_set_bytes{{{container}}}": used,
        f'kube_pod_init_container_resource_limits{{{container}, resource="memory"}}': "100e6x30",
    }


def versions(*several: str) -> dict[str, str]:
    name = "sidecar_build_info"
    pods = enumerate(several, 1)
    return {
        f'{name}{{namespace="shop", pod="web-{number}", name="adapter", version="{version}"}}': "1x1500"
        for number, version in pods
    }


def one(name: str, labels: str, fires: str, quiet: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the series of a case that differ in their values alone."""
    return {f"{name}{{{labels}}}": fires}, {f"{name}{{{labels}}}": quiet}


CASES = (
    Case(
        "AmbassadorErrorBudgetFast",
        "90m",
        requests("0+98x120", "0+2x120"),
        requests("0+99x120", "0+1x120"),
        OF_UPSTREAM,
        "2%",
    ),
    # The trouble was over an hour ago: the short window ends the alert, whatever the long one says.
    Case(
        "AmbassadorErrorBudgetSlow",
        "7h",
        requests("0+992x420", "0+8x420"),
        requests("0+992x420", "0+8x350 2800x70"),
        OF_UPSTREAM,
        "0.8%",
    ),
    Case(
        "AmbassadorErrorBudgetTicket",
        "9h",
        requests("0+998x540", "0+2x540"),
        requests("0+9995x540", "0+5x540"),
        OF_UPSTREAM,
        "0.2%",
    ),
    Case("AmbassadorUpstreamDown", "5m", endpoints("2x30", "0x30"), endpoints("1x30", "0x30"), OF_BOTH),
    Case("AmbassadorUpstreamDown", "5m", endpoints("1x30", "1x30"), endpoints("0x30", "0x30"), OF_BOTH),
    Case(
        "AmbassadorNoEndpoints",
        "5m",
        *one("ambassador_upstream_endpoints", UPSTREAM, "0x30", "1x30"),
        OF_BOTH,
    ),
    # An old answer is no trouble while nobody has to look names up.
    Case("AmbassadorDnsStale", "20m", stale_dns("0+1x30"), stale_dns("7x30"), OF_BOTH, "6m 40s"),
    Case(
        "AmbassadorKubernetesAway",
        "15m",
        *one("ambassador_upstream_kubernetes_away", UPSTREAM, "1x30", "0x30"),
        OF_BOTH,
    ),
    Case(
        "AmbassadorBufferMemoryShort", "10m", *one("ambassador_buffer_short", POD, "1x30", "1x4 0x1 1x4 0x30"), OF_POD
    ),
    Case("AmbassadorRetryStorm", "25m", retries("0+30x30"), retries("0+10x30"), OF_UPSTREAM, "30%"),
    Case("AmbassadorSlow", "20m", durations("0+90x30"), durations("0+100x30"), OF_UPSTREAM, "2.35s"),
    Case(
        "AmbassadorEndpointEjectedByMost",
        "15m",
        ejected("1x30", "1x30", "0x30"),
        ejected("1x30", "0x30", "0x30"),
        {**OF_UPSTREAM, "endpoint": "10.0.0.7:8080"},
        "66.67%",
    ),
    # One Pod alone does not tell a broken endpoint from a broken way to it.
    Case(
        "AmbassadorEndpointEjectedByMost",
        "15m",
        ejected("1x30", "1x30"),
        ejected("1x30"),
        {**OF_UPSTREAM, "endpoint": "10.0.0.7:8080"},
        "100%",
    ),
    Case("AmbassadorConnectionsNearLimit", "15m", connections("95x30"), connections("50x30"), OF_BOTH, "95%"),
    Case(
        "AmbassadorSpansLost",
        "40m",
        *one("ambassador_spans_total", f'{POD}, outcome="dropped"', "0+10x60", "7x60"),
        OF_POD,
    ),
    Case("AmbassadorDefects", "20m", *one("ambassador_defects_total", UPSTREAM, "0x5 1x25", "3x30"), OF_BOTH),
    Case("LogshipperNotDelivering", "20m", waiting("5000x30"), waiting("0+50x30"), OF_SINK, "20m 0s"),
    Case("LogshipperLinesLost", "10m", dropped("rejected"), dropped("filtered"), {**OF_SINK, "reason": "rejected"}),
    Case("LogshipperLinesLost", "10m", dropped("lost"), dropped("dead_letter"), {**OF_SINK, "reason": "lost"}),
    Case(
        "LogshipperFilesUnreadable",
        "10m",
        *one("logshipper_files", f'{POD}, state="unreadable"', "2x30", "0x30"),
        {**OF_POD, "state": "unreadable"},
        "2",
    ),
    Case("LogshipperStateNotSaved", "10m", *one("logshipper_state_saved", POD, "0x30", "1x30"), OF_POD),
    # A backlog that stays as it is fills no volume.
    Case(
        "LogshipperBacklogGrowing",
        "40m",
        *one("logshipper_pending_bytes", SINK, "0+20000000x60", "20000000x60"),
        OF_SINK,
        "762.9Mi",
    ),
    Case("LogshipperRetrying", "30m", batches("0+6x60", "0+4x60"), batches("0+4x60", "0+6x60"), OF_SINK, "60%"),
    Case("LogshipperRefusedByItsSink", "10m", *one("logshipper_sink_refuses_all", SINK, "1x30", "0x30"), OF_SINK),
    Case(
        "LogshipperHoldsDeletedFiles",
        "20m",
        *one("logshipper_held_deleted_bytes", POD, "2000000000x30", "1000000x30"),
        OF_POD,
        "1.863Gi",
    ),
    Case(
        "AdapterVerdictFail",
        "10m",
        {f'adapter_verdict{{{POD}, route="/health", status="fail"}}': "1x30"},
        {f'adapter_verdict{{{POD}, route="/health", status="warn"}}': "1x30"},
        {**OF_POD, "route": "/health"},
    ),
    # An app that restarts is down for less than five minutes.
    Case(
        "AdapterAppDown",
        "10m",
        *one("adapter_up", f'{POD}, route="/health"', "0x30", "0x4 1x1 0x4 1x30"),
        {**OF_POD, "route": "/health"},
    ),
    Case(
        "AdapterRulesStale",
        "20m",
        *one("adapter_rules_current", f'{POD}, app="default"', "0x30", "1x30"),
        {**OF_POD, "app": "default"},
    ),
    Case(
        "AdapterUpstreamErrors",
        "25m",
        app_errors("0+20x30"),
        app_errors("0+5x30"),
        {"namespace": "shop", "app": "default"},
        "20%",
    ),
    Case("WarcopierPublishFailing", "20m", *one("warcopier_last_run_failed", POD, "1x60", "1x10 0x50"), OF_POD),
    Case("WarcopierStale", "75m", *one("warcopier_last_run_failed", POD, "1x90", "1x30 0x60"), OF_POD),
    Case(
        "SidecarDown",
        "10m",
        {f'up{{{POD}, container="adapter", job="monitoring/sidecars"}}': "0x30"},
        {f'up{{{POD}, container="shop", job="shops"}}': "0x30"},
        {**OF_POD, "container": "adapter", "job": "monitoring/sidecars"},
    ),
    Case(
        "SidecarNotReady",
        "15m",
        *one("sidecar_ready", f'{POD}, container="adapter"', "0x30", "0x5 1x25"),
        {**OF_POD, "container": "adapter"},
    ),
    Case(
        "SidecarRestarting",
        "30m",
        *one(
            "kube_pod_init_container_status_restarts_total",
            f'{POD}, container="adapter"',
            "0x5 1x5 2x5 3x5 4x5 5x5",
            "0x10 1x30",
        ),
        {**OF_POD, "container": "adapter"},
    ),
    Case(
        "SidecarMemoryHigh", "15m", memory("95e6x30"), memory("50e6x30"), {**OF_POD, "container": "logshipper"}, "95%"
    ),
    Case(
        "SidecarLogLinesDropped",
        "10m",
        *one("sidecar_log_lines_dropped_total", f'{POD}, container="adapter"', "0x5 9x25", "9x30"),
        {**OF_POD, "container": "adapter"},
    ),
    Case(
        "SidecarSecretScrubbed",
        "10m",
        *one("sidecar_secrets_scrubbed_total", f'{POD}, container="adapter"', "0x5 1x25", "0x30"),
        {**OF_POD, "container": "adapter"},
    ),
    # For a day: a roll-out is no trouble.
    Case(
        "SidecarVersionsDiffer",
        "25h",
        versions("0.1.0", "0.2.0"),
        versions("0.2.0", "0.2.0"),
        {"namespace": "shop", "name": "adapter"},
        "2",
    ),
)
