"""The logshipper as a node agent: a DaemonSet that reads the files of all Pods of a node.

It is the container of `containers`, with another user, other mounts, and no Pod of somebody else around it.
"""

from __future__ import annotations

from typing import Any

from tools.manifests.containers import POD, RESTRICTED, SIDECARS, container
from tools.manifests.yaml_text import block

FOLDER = "deploy/kustomize/node-agent"
NAME, NAMESPACE = "node-agent", "logging"
PODS, STATE = "/var/log/pods", "/var/lib/logshipper"  # on the node; inside the state is /state

SETTINGS = {
    "LOGSHIPPER_PATHS": f"{PODS}/*/*/*.log*",
    "LOGSHIPPER_PATH_FIELDS": "kubernetes",
    "LOGSHIPPER_COMPRESSED": "auto",
    "LOGSHIPPER_FORMAT": "cri",
    "LOGSHIPPER_BATCH_TIMEOUT": "500ms",
    "LOGSHIPPER_MAX_HELD": "2GiB",
}
"""Defaults that a kustomization may change by `behavior: merge`."""

_HEADER = """\
# The logshipper as a node agent: one Pod on each node ships the lines of all Pods there, from /var/log/pods.
# Rendered from tools/manifests/node_agent.py by `make docs`; do not edit.
#
#   resources: [.../deploy/kustomize/node-agent]
#   namespace: logging
#   configMapGenerator:
#     - {name: node-agent, behavior: merge, literals: ["LOGSHIPPER_SINK=http://collector:8080/"]}
#   images: [{name: registry.invalid/sidecars/logshipper, newName: registry.example/sidecars/logshipper}]
#
# examples/node-agent/kubernetes is such a kustomization. Records have the fields of the path: namespace, pod, pod_uid,
# container and restart. They have no labels, annotations or owners of a Pod: these are in the API alone, which the
# agent does not ask. With apps that write JSON: LOGSHIPPER_FORMAT=cri,json.
#
# What it may do: read each file below /var/log/pods, whoever owns it (root, with the capability DAC_READ_SEARCH and no
# other), and write its state. It has no service account's token and no RBAC. Landlock refuses it all other files. A
# hostPath needs a namespace of the profile `privileged`: give it to nothing else.
#
# Deleted files that are held open for a sink that is down take 2 GiB of the node's disk at most (LOGSHIPPER_MAX_HELD):
# beyond that the oldest is given up, and its bytes are counted.
#
# Not for nodes with cri-dockerd, where the files are links: LOGSHIPPER_LINK_ROOTS and a further mount are needed there.
"""


def _container() -> dict[str, Any]:
    (shipper,) = (one for one in SIDECARS if one.name == "logshipper")
    made = container(shipper)
    for name in ("restartPolicy", "startupProbe"):  # it is no sidecar: nothing waits for it
        del made[name]
    made["envFrom"] = [{"configMapRef": {"name": NAME}}]
    environ = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in POD.items()]
    own = f"{PODS}/$(POD_NAMESPACE)_$(POD_NAME)_*"  # a warning of ours that is shipped would cause the next one
    made["env"] = [*environ, {"name": "LOGSHIPPER_EXCLUDE", "value": f"{own},*.tmp"}]
    reading = {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    user = {"runAsNonRoot": False, "runAsUser": 0, "runAsGroup": 0}
    made["securityContext"] = {**user, **RESTRICTED, "capabilities": reading}
    made["resources"] = {"requests": {"cpu": "100m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
    made["volumeMounts"] = [
        {"name": "pods", "mountPath": PODS, "readOnly": True},
        {"name": "state", "mountPath": "/state"},
    ]
    return made


def _daemon_set() -> dict[str, Any]:
    labels = {"app": NAME}
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 30,
        "containers": [_container()],
        "volumes": [
            {"name": "pods", "hostPath": {"path": PODS, "type": "Directory"}},
            {"name": "state", "hostPath": {"path": STATE, "type": "DirectoryOrCreate"}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _namespace() -> dict[str, Any]:
    profile = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": profile}}


def _network_policy() -> dict[str, Any]:
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "podSelector": {"matchLabels": {"app": NAME}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [monitoring], "ports": [{"port": 9912}]}],
        },
    }


_DOCUMENTS = {
    "namespace.yaml": ("The namespace. Its profile is that of a hostPath: nothing else belongs here.", _namespace),
    "daemonset.yaml": ("The agent. Its settings are in the ConfigMap of kustomization.yaml.", _daemon_set),
    "networkpolicy.yaml": (
        "Only the monitoring system reaches the admin port; probes come from the node.",
        _network_policy,
    ),
}


def render() -> dict[str, str]:
    """Return the text of each file, by its path below the repository's root."""
    files = {
        f"{FOLDER}/{name}": f"# Rendered by `make docs`. {comment}\n{block(make())}\n"
        for name, (comment, make) in _DOCUMENTS.items()
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": list(_DOCUMENTS),
        "configMapGenerator": [{"name": NAME, "literals": [f"{name}={value}" for name, value in SETTINGS.items()]}],
    }
    files[f"{FOLDER}/kustomization.yaml"] = _HEADER + block(kustomization) + "\n"
    return files
