"""The container of each sidecar, with its volumes: the one description that all ways into a Pod are rendered from.

A text that a workload may choose is a `Parameter`. Its default is what the kustomize components have. The library chart
makes a value of it, the injection policy an annotation.

The order of SIDECARS is that of the containers in a Pod. Each sidecar comes before what may need it: the ambassador
before all others, and the warcopier, which ends, behind those that keep running.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tools import names

FS_GROUP = 65532  # the group of shared volumes, and the group of the images' user

# Landlock is a call of the kernel's own, and no privilege: what is dropped here does not weaken it.
RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

POD: dict[str, str] = {  # variables from the downward API, for logs
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "NODE_NAME": "spec.nodeName",
}


@dataclass(frozen=True)
class Parameter:
    """A text that each workload may choose: `volume` of the logshipper is `logs` unless it says another name."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """One sidecar, as a Pod gets it.

    admin      the port of its probes; None for one that ends before the app starts
    startup    the path of the start-up probe: `/livez`, or `/readyz` if the app must not start before it is ready; None
               if the app may start before it, which lets the Pod start sooner (docs/explanation/sizing.md)
    ports      further ports by name
    environ    settings with another default than the program's, because a limit here follows from it
    optional   True if the program starts without any setting
    mounts     `volumeMounts`; a name may be a Parameter
    volumes    what the sidecar brings along; the others are the workload's own
    fs_group   True if files of the app must belong to FS_GROUP
    """

    name: str
    purpose: str
    user: int
    requests: dict[str, str]
    memory: str  # the limit; the CPU has none
    notes: str
    usage: str
    admin: int | None = None
    startup: str | None = "/livez"
    ports: dict[str, int] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    optional: bool = True
    mounts: tuple[dict[str, Any], ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    fs_group: bool = False

    @property
    def config(self) -> Parameter:
        """Return the parameter that names the ConfigMap of the settings."""
        return Parameter("configMap", self.name, "ConfigMap whose keys are the settings")

    @property
    def all_parameters(self) -> tuple[Parameter, ...]:
        return (self.config, *self.parameters)

    @property
    def prefix(self) -> str:
        """Return the prefix of the sidecar's variables."""
        return f"{self.name.upper()}_"


def container(sidecar: Sidecar, image: Any = None) -> dict[str, Any]:
    """Return the container with its parameters in place. `image` is a renderer's own form of the reference."""
    config = {"name": sidecar.config, "optional": sidecar.optional}
    made: dict[str, Any] = {"name": sidecar.name, "image": image or names.image(sidecar.name)}
    made["imagePullPolicy"] = "IfNotPresent"
    if sidecar.admin:
        made["restartPolicy"] = "Always"  # an init container that keeps running: a native sidecar
    made["envFrom"] = [{"configMapRef": config}]
    made["env"] = [{"name": name, "value": value} for name, value in sidecar.environ.items()]
    if sidecar.admin:
        made["env"] += [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in POD.items()]
        admin = f"adm-{sidecar.name}"
        ports = {**sidecar.ports, admin: sidecar.admin}
        made["ports"] = [{"name": name, "containerPort": port} for name, port in ports.items()]
        made |= _probes(sidecar, admin)
    if not made["env"]:
        del made["env"]
    user = {"runAsNonRoot": True, "runAsUser": sidecar.user, "runAsGroup": sidecar.user}
    made["securityContext"] = {**user, **RESTRICTED}
    made["resources"] = {"requests": dict(sidecar.requests), "limits": {"memory": sidecar.memory}}
    if sidecar.mounts:
        made["volumeMounts"] = [dict(mount) for mount in sidecar.mounts]
    return made


def _probes(sidecar: Sidecar, port: str) -> dict[str, Any]:
    def probe(path: str, **timing: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": port}, **timing}

    startup = {"startupProbe": probe(sidecar.startup, periodSeconds=1, failureThreshold=30)} if sidecar.startup else {}
    return startup | {
        "livenessProbe": probe("/livez"),
        "readinessProbe": probe("/readyz", periodSeconds=5),
    }


def resolved(value: Any, choose: Callable[[Parameter], Any] = lambda parameter: parameter.default) -> Any:
    """Return the value with each Parameter replaced by what `choose` returns for it, which is its default."""
    if isinstance(value, Parameter):
        return choose(value)
    if isinstance(value, dict):
        return {key: resolved(each, choose) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(each, choose) for each in value]
    return value


_RULES = Parameter("rules", "adapter-rules", "ConfigMap with the rules, in its key `rules`")
_SECRET = Parameter("secret", "adapter", "Secret with tokens or certificates, mounted at `/run/adapter`")
_LOGS = Parameter("volume", "logs", "volume that the app writes its logs to")
_WEBAPPS = Parameter("volume", "webapps", "volume that the app reads its WARs from")

SIDECARS: tuple[Sidecar, ...] = (
    Sidecar(
        name="ambassador",
        purpose="the one localhost address that the app dials",
        user=64913,
        admin=9913,
        requests={"cpu": "20m", "memory": "48Mi"},
        memory="320Mi",
        environ={"AMBASSADOR_MAX_CONNECTIONS": "256"},
        optional=False,
        usage='configMapGenerator: [{name: ambassador, literals: ["AMBASSADOR_UPSTREAM=http://backend:8080"]}]',
        notes="""\
The app talks to http://127.0.0.1:8500.

Memory: the limit holds what one upstream without TLS can take with 256 connections (`--check` prints the sum and its
parts). For more connections, further upstreams or TLS set AMBASSADOR_MAX_CONNECTIONS and the limit, both together.
""",
    ),
    Sidecar(
        name="adapter",
        purpose="the app's health and metrics, for every prober",
        user=64914,
        admin=9914,
        startup=None,
        ports={"health": 8081},
        requests={"cpu": "10m", "memory": "32Mi"},
        memory="192Mi",
        mounts=(
            {"name": "adapter-rules", "mountPath": "/etc/adapter", "readOnly": True},
            {"name": "adapter-secrets", "mountPath": "/run/adapter", "readOnly": True},
        ),
        volumes=(
            {"name": "adapter-rules", "configMap": {"name": _RULES, "optional": True}},
            {"name": "adapter-secrets", "secret": {"secretName": _SECRET, "optional": True}},
        ),
        parameters=(_RULES, _SECRET),
        usage='configMapGenerator: [{name: adapter, literals: ["ADAPTER_TARGET=http://127.0.0.1:8080"]}]   # if any',
        notes="""\
A probe of the app's container can then request /health on port 8081, since the containers of a Pod share their ports.
By default /health is the app's /metrics, forwarded; ADAPTER_MODE=verdict and ADAPTER_RULES make it a verdict.

Rules in a file: put a ConfigMap named adapter-rules with a key `rules` into the namespace, and
ADAPTER_RULES_FILE=/etc/adapter/rules among the settings. The adapter reloads the rules when the ConfigMap changes.
Secrets in a file: put a Secret named adapter with a key `token` into the namespace, and
ADAPTER_TARGET_TOKEN_FILE=/run/adapter/token among the settings.
""",
    ),
    Sidecar(
        name="logshipper",
        purpose="the logs of the app, delivered",
        user=64912,
        admin=9912,
        startup="/readyz",
        requests={"cpu": "20m", "memory": "48Mi"},
        memory="192Mi",
        optional=False,
        mounts=(
            {"name": _LOGS, "mountPath": "/logs", "readOnly": True},
            {"name": "logshipper-state", "mountPath": "/state"},
        ),
        volumes=({"name": "logshipper-state", "emptyDir": {"sizeLimit": "256Mi"}},),
        parameters=(_LOGS,),
        fs_group=True,
        usage="""\
configMapGenerator:
  - name: logshipper
    literals: ["LOGSHIPPER_PATHS=/logs/*.log", "LOGSHIPPER_SINK=http://collector:8080/"]""",
        notes="""\
The workload has a volume `logs`, which the app mounts where it writes its logs. The positions are kept in an emptyDir:
they survive the container and not the Pod, as the logs do. Dead letters can be kept there, too:
LOGSHIPPER_ON_REJECT=/state/rejected. LOGSHIPPER_DELETE_DELIVERED needs the logs mounted writable: patch readOnly.

Permissions: `fsGroup: 65532` gives the emptyDir of the logs to the logshipper's group. Files that the app creates there
get that group, whatever its user is. So logs of mode 0640 can be read (the official Tomcat, umask 0027). Logs of mode
0600 (umask 0077) cannot: run the app with umask 0027. The component replaces an fsGroup that the workload has; a patch
in the workload's own kustomization, which comes after the component, brings it back. The logshipper is a member of that
group, too.

The app starts when the logshipper is ready. A Pod whose logshipper cannot read the logs is not ready.
""",
    ),
    Sidecar(
        name="warcopier",
        purpose="a WAR from an image of its own, for Tomcat",
        user=64911,
        requests={"cpu": "10m", "memory": "32Mi"},
        memory="64Mi",
        mounts=({"name": _WEBAPPS, "mountPath": "/webapps"},),
        parameters=(_WEBAPPS,),
        usage=f"""\
images: [{{name: {names.REGISTRY}/warcopier, newName: registry.example/shop-war, newTag: "1"}}]   # with the WAR
configMapGenerator: [{{name: warcopier, literals: [...]}}]                    # its settings, if any""",
        notes="""\
The workload must have a volume `webapps`, which the app mounts where it looks for WARs.

The warcopier runs once and ends. Do not set WARCOPIER_WATCH here: the Pod would wait for an init container that never
ends. To watch, it must be a native sidecar, with `restartPolicy: Always` and probes, as in
examples/hot-redeploy/pod.yaml.
""",
    ),
)
"""All sidecars, in the order of their containers in a Pod."""
