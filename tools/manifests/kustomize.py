"""The kustomize component of each sidecar: a strategic merge into every workload that carries its label."""

from __future__ import annotations

from typing import Any

from tools import names
from tools.manifests.containers import FS_GROUP, SIDECARS, Sidecar, container, resolved
from tools.manifests.yaml_text import block, flow

WORKLOADS = "Deployment|StatefulSet|DaemonSet|ReplicaSet|Job"  # in all of them the Pod is at spec.template
COMMON = """\
Kinds: {kinds}.
Others, such as a Rollout, get nothing. The label stands in the workload's own manifest: one that `labels:` of the same
kustomization adds comes after the components, and selects nothing.

These are strategic merges: a JSON patch would fail on a workload without init containers or volumes. The {name} is
placed before the workload's own init containers, so that {so_that}.

The container runs as user {user}, which is no other container's: give your app another one (`runAsUser`). Containers of
one user can signal each other and read each other's files. No container gets a service account's token: an app that
talks to the API server mounts one itself (a projected volume), or sets `automountServiceAccountToken` back by a patch
of its own.

The image has a name that no registry answers for. {image}
"""


def pod_spec(sidecar: Sidecar) -> dict[str, Any]:
    """Return what the component adds to the spec of a Pod."""
    spec: dict[str, Any] = {"automountServiceAccountToken": False}
    if sidecar.fs_group:
        spec["securityContext"] = {"fsGroup": FS_GROUP}
    spec["initContainers"] = [container(sidecar)]
    if sidecar.volumes:
        spec["volumes"] = list(sidecar.volumes)
    found: dict[str, Any] = resolved(spec)
    return found


def _patch(api: str, kind: str, spec: dict[str, Any]) -> str:
    return block({"apiVersion": api, "kind": kind, "metadata": {"name": "whatever-the-target-selects"}, "spec": spec})


def _kinds(sidecar: Sidecar) -> dict[str, str]:
    """Return the file and the text of each patch, apart from the one of the workloads."""
    spec = pod_spec(sidecar)
    cron = {"jobTemplate": {"spec": {"template": {"spec": spec}}}}
    return {"cronjob.yaml": _patch("batch/v1", "CronJob", cron), "pod.yaml": _patch("v1", "Pod", spec)}


def _comment(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.strip("\n").split("\n"))


def header(sidecar: Sidecar) -> str:
    """Return the comment at the top: what the component does, how to use it, and what to know."""
    label = names.label(sidecar.name)
    form = "a native sidecar" if sidecar.admin else "an init container"
    use = "\n".join(
        f"  {line}" for line in [f"components: [.../deploy/kustomize/{sidecar.name}]", *sidecar.usage.split("\n")]
    )
    kinds = WORKLOADS.replace("|", ", ") + ", CronJob, Pod"
    mine = f"images: [{{name: {names.REGISTRY}/{sidecar.name}, newName: registry.example/sidecars/{sidecar.name}}}]"
    common = COMMON.format(
        name=sidecar.name,
        user=sidecar.user,
        kinds=kinds,
        so_that="they can use it, too" if sidecar.admin else "it has ended when they start",
        image="The lines above name yours."
        if "images:" in sidecar.usage
        else f"Name yours in the workload's kustomization:\n  {mine}",
    )
    return _comment(
        f'Adds the {sidecar.name} as {form} to every workload that carries the label `{label}: "on"`.\n'
        "Rendered from tools/manifests/containers.py by `make docs`; do not edit.\n\n"
        f"{use}\n\n{sidecar.notes}\n{common}"
    )


def render() -> dict[str, str]:
    """Return the text of each file of the components, by its path below the repository's root."""
    files = {}
    for sidecar in SIDECARS:
        folder = f"deploy/kustomize/{sidecar.name}"
        selector = f"{names.label(sidecar.name)}=on"
        patch = _patch("apps/v1", "Deployment", {"template": {"spec": pod_spec(sidecar)}})
        lines = ["apiVersion: kustomize.config.k8s.io/v1alpha1", "kind: Component", "patches:"]
        lines += [f"  - target: {flow({'kind': WORKLOADS, 'labelSelector': selector})}", "    patch: |"]
        lines += [f"      {line}" for line in patch.split("\n")]
        for name, text in _kinds(sidecar).items():
            kind = {"cronjob.yaml": "CronJob", "pod.yaml": "Pod"}[name]
            lines.append(f"  - {flow({'path': name, 'target': {'kind': kind, 'labelSelector': selector}})}")
            files[f"{folder}/{name}"] = (
                f"# Rendered by `make docs`: the patch of kustomization.yaml for a {kind}.\n{text}\n"
            )
        files[f"{folder}/kustomization.yaml"] = header(sidecar) + "\n".join(lines) + "\n"
    return files
