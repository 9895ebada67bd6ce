"""Alerts about any sidecar. Some need kube-state-metrics and the kubelet's metrics of containers.

kube-state-metrics counts native sidecars as init containers: `kube_pod_init_container_…`.
"""

from __future__ import annotations

from tools.monitoring.alerts.rules import CRITICAL, INFO, WARNING, Alert

CONTAINERS = "adapter|ambassador|logshipper|warcopier"

ALERTS = (
    Alert(
        "SidecarDown",
        'up{job=~".*sidecars.*"} == 0',
        "5m",
        CRITICAL,
        "{{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} does not answer the scrape",
        "It has ended, hangs, or a NetworkPolicy closes its admin port to Prometheus.",
    ),
    Alert(
        "SidecarNotReady",
        "sidecar_ready == 0",
        "10m",
        WARNING,
        "{{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} has not been ready for 10 minutes",
        "Its Pod gets no traffic. /readyz gives the reason; so does `kubectl describe pod`.",
    ),
    Alert(
        "SidecarRestarting",
        f'increase(kube_pod_init_container_status_restarts_total{{container=~"{CONTAINERS}"}}[1h]) > 3',
        "",
        WARNING,
        "{{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} restarts again and again",
        "`kubectl describe pod` has the exit code and the reason of the last end.",
    ),
    Alert(
        "SidecarMemoryHigh",
        f'container_memory_working_set_bytes{{container=~"{CONTAINERS}"}} / on (namespace, pod, container)'
        f' kube_pod_init_container_resource_limits{{container=~"{CONTAINERS}", resource="memory"}} > 0.9',
        "10m",
        WARNING,
        "{{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} uses {{ $value | humanizePercentage }}"
        " of its memory limit",
        "Beyond the limit the kernel ends it. `--check` prints the limit that its settings need.",
    ),
    Alert(
        "SidecarLogLinesDropped",
        "increase(sidecar_log_lines_dropped_total[15m]) > 0",
        "",
        WARNING,
        "log lines of {{ $labels.container }} in {{ $labels.namespace }}/{{ $labels.pod }} were dropped",
        "What reads stderr, usually the container runtime, is too slow. The work goes on.",
    ),
    Alert(
        "SidecarSecretScrubbed",
        "increase(sidecar_secrets_scrubbed_total[1h]) > 0",
        "",
        WARNING,
        "{{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} nearly showed a secret",
        "It was replaced by ***. The log names the place: please report it.",
    ),
    Alert(
        "SidecarVersionsDiffer",
        "count by (namespace, name) (count by (namespace, name, version) (sidecar_build_info)) > 1",
        "1d",
        INFO,
        "{{ $value | humanize }} versions of {{ $labels.name }} have run in {{ $labels.namespace }} for a day",
        "An injected sidecar changes with the next rollout of its Pod only: restart the workloads that lag.",
    ),
)
