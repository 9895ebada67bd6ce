"""The Pods of the tests of injection: what a Pod may have already, and what it may ask for."""

from __future__ import annotations

from typing import Any

from tools.manifests.containers import SIDECARS
from tools.names import label

NAMES = [sidecar.name for sidecar in SIDECARS]
APP = {"name": "app", "image": "registry.invalid/example/app:1"}
VOLUMES = [{"name": "logs", "emptyDir": {}}, {"name": "webapps", "emptyDir": {}}]
WAR = {label("warcopier-image"): "registry.invalid/example/shop-war:1"}


def pod(
    *asked: str, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a Pod that asks for these sidecars. A field of `spec` that is None is left out."""
    metadata: dict[str, Any] = {"name": "shop", "labels": {label(name): "on" for name in asked} | (labels or {})}
    if annotations is not None:
        metadata["annotations"] = annotations
    given = {"containers": [APP], "volumes": VOLUMES, **spec}
    fields = {key: value for key, value in given.items() if value is not None}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": fields}


MIGRATE = [{"name": "migrate", "image": "registry.invalid/example/app:1"}]
TABLE: dict[str, dict[str, Any]] = {
    "nothing more": pod(*NAMES, annotations=WAR),
    "no volumes": pod("adapter", volumes=None),
    "no annotations": pod("ambassador", "adapter", "logshipper"),
    "an init container": pod(*NAMES, annotations=WAR, initContainers=MIGRATE),
    "an empty list of init containers": pod(*NAMES, annotations=WAR, initContainers=[]),
    "a securityContext without a group": pod("logshipper", securityContext={"runAsNonRoot": True}),
    "an empty securityContext": pod("logshipper", securityContext={}),
    "a group of its own": pod("logshipper", securityContext={"fsGroup": 1000}),
    "a token": pod("adapter", automountServiceAccountToken=True),
    "a volume of a sidecar's": pod("logshipper", volumes=[*VOLUMES, {"name": "logshipper-state", "emptyDir": {}}]),
    "one sidecar already": pod("adapter", "logshipper", initContainers=[{"name": "adapter", "image": "mine"}]),
    "a sidecar among the containers": pod("adapter", containers=[APP, {"name": "adapter", "image": "mine"}]),
    "odd annotations": pod(
        *NAMES,
        annotations={
            **WAR,
            "adapter.sidecars.invalid/": "no name",
            "adapter.sidecars.invalid/log-level": "",
            "sidecars.invalid/logshipper-volume": "webapps",
            "xadapter.sidecars.invalid/target": "http://other",
            "note": 'a "quoted" text with \\ and {{ braces }}',
        },
    ),
}
