"""How much later the app of a Pod starts because of its sidecars: `python -m benchmarks.pod_start`. Computed, not run.

It follows the kubelet's own loop (Kubernetes 1.36: kuberuntime_manager.go, pleg/generic.go, prober/worker.go):

    One sync of a Pod starts one init container, or all containers of the app one after another.
    The kubelet sees that a container runs or has ended when it lists containers, each second, and then syncs again.
    A native sidecar without start-up probe counts as started when it is seen to run.
    With one, its worker probes each `periodSeconds` from the Pod's creation, and a success makes the next sync.

So a native sidecar costs at least the wait for the next list, whatever it does, and a start-up probe up to a period
more (two if the sidecar is slow). Two phases are left to chance, when the kubelet lists and when it probes: the figures
are over all of them. The feature gate PLEGOnDemandRelist (1.36: beta, off), which lists at once after a start, is not
in the model.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from statistics import mean

LIST = 1.0  # seconds between two lists of the kubelet
CREATE = 0.2  # seconds until the runtime has started a container
BOOT = 0.4  # seconds until a sidecar answers; the copier has ended then
PHASES = 50


@dataclass(frozen=True)
class Step:
    """An init container of a Pod: one that ends, or a native sidecar, with or without a start-up probe."""

    name: str
    probed: bool = False
    ends: bool = False


COPIER = Step("warcopier", ends=True)
ARRANGEMENTS: dict[str, tuple[Sequence[Step], int]] = {
    "four, each native sidecar with a start-up probe": (
        (COPIER, Step("logshipper", probed=True), Step("ambassador", probed=True), Step("adapter", probed=True)), 0),
    "four, as in the components: the adapter without one": (
        (COPIER, Step("logshipper", probed=True), Step("ambassador", probed=True), Step("adapter")), 0),
    "four, the adapter as a plain container": (
        (COPIER, Step("logshipper", probed=True), Step("ambassador", probed=True)), 1),
    "four, adapter and ambassador as plain containers": ((COPIER, Step("logshipper", probed=True)), 2),
    "three without the copier, adapter and ambassador plain": ((Step("logshipper", probed=True),), 2),
    "four, the logshipper first and without one, adapter and ambassador plain": ((Step("logshipper"), COPIER), 2),
    "one native sidecar with a start-up probe": ((Step("ambassador", probed=True),), 0),
    "one native sidecar without": ((Step("adapter"),), 0),
}  # fmt: skip


def next_tick(time: float, phase: float, period: float) -> float:
    """Return the first time at or after `time` that is `phase` plus a multiple of the period."""
    return phase + ceil((time - phase) / period - 1e-9) * period


def delay(
    steps: Sequence[Step], plain: int, phases: tuple[float, float], *, create: float = CREATE, boot: float = BOOT
) -> float:
    """Return the seconds by which the app starts later, after these init containers and `plain` containers beside it.

    The phases are those of the list and of the probes, in seconds.
    """
    lists, probes = phases
    time = 0.0
    for step in steps:
        running = time + create
        time = next_tick(running + boot * step.ends, lists, LIST)
        if step.probed:
            time = next_tick(max(time, running + boot), probes, 1.0)
    return time + plain * create


def delays(steps: Sequence[Step], plain: int, **durations: float) -> Iterator[float]:
    """Yield the delay for each pair of phases."""
    for lists, probes in product(range(PHASES), repeat=2):
        yield delay(steps, plain, (lists / PHASES, probes / PHASES), **durations)


def main() -> int:
    print("| arrangement | least | mean | most |\n|---|---|---|---|")
    for name, (steps, plain) in ARRANGEMENTS.items():
        found = list(delays(steps, plain))
        print(f"| {name} | {min(found):.1f} s | {mean(found):.1f} s | {max(found):.1f} s |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
