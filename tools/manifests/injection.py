"""The injection policy: one MutatingAdmissionPolicy that adds every sidecar that a Pod's labels ask for.

    label       <prefix>/adapter: "on"                      asks; the bindings see labels only, and no other Pod
    annotation  adapter.<prefix>/target: http://…           a setting: ADAPTER_TARGET
    annotation  <prefix>/adapter-config-map: shop           a parameter of the container (`containers.Parameter`)

All is one list of JSON patches: lists that are missing, the containers, each put at the front so that the last one
comes first, their volumes, what concerns the Pod. A sidecar whose name a container has already is left alone: the
policy's own output, given to it again, is not changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tools import names
from tools.manifests import cel
from tools.manifests.cel import Expression, Sum
from tools.manifests.containers import FS_GROUP, SIDECARS, Parameter, Sidecar, container, resolved
from tools.manifests.library import OWN_IMAGE

INIT = "spec.initContainers"
ANNOTATIONS, LABELS = "variables.annotations", "variables.labels"
MIRROR = "kubernetes.io/config.mirror"  # the annotation of a static Pod's image in the API server


@dataclass(frozen=True)
class Texts:
    """What a chart puts into the policy: literals, or actions of a template that stand for them."""

    name: str = "sidecars"
    prefix: str = names.LABEL_PREFIX.rstrip("/")
    namespace_label: str = names.label("inject")
    image: Callable[[str], str] = names.image
    resources: Callable[[Sidecar], dict[str, Any]] = lambda sidecar: container(sidecar)["resources"]

    def key(self, name: str) -> str:
        """Return the key of a label or annotation."""
        return f"{self.prefix}/{name}"

    def settings_prefix(self, sidecar: Sidecar) -> str:
        """Return the beginning of the annotations that are settings: `adapter.<prefix>/`."""
        return f"{sidecar.name}.{self.prefix}/"


LITERAL = Texts()


def annotation_name(sidecar: Sidecar, parameter: str) -> str:
    """Return the name of a parameter's annotation: `configMap` of the adapter is `adapter-config-map`."""
    kebab = re.sub("([A-Z])", lambda found: f"-{found[1].lower()}", parameter)
    return f"{sidecar.name}-{kebab}"


def wanted(sidecar: Sidecar) -> str:
    """Return the name of the variable that tells if a sidecar is to be added."""
    return f"adds{sidecar.name.capitalize()}"


# -- the container ----------------------------------------------------------------------------------------------------


def _annotation(texts: Texts, sidecar: Sidecar, parameter: Parameter) -> Expression:
    key = cel.quoted(texts.key(annotation_name(sidecar, parameter.name)))
    return Expression(f"{key} in {ANNOTATIONS} ? {ANNOTATIONS}[{key}] : {cel.quoted(parameter.default)}")


def _image(texts: Texts, sidecar: Sidecar) -> Expression | str:
    if sidecar.name == OWN_IMAGE:
        return Expression(f"{ANNOTATIONS}[{cel.quoted(texts.key(annotation_name(sidecar, 'image')))}]")
    return texts.image(sidecar.name)


def _environ(texts: Texts, sidecar: Sidecar, items: list[dict[str, Any]]) -> Sum | Expression:
    """Return the list `env`: defaults unless an annotation has another value, the downward API, the annotations."""
    prefix = cel.quoted(texts.settings_prefix(sidecar))
    variable = f'"{sidecar.prefix}" + k.substring(size({prefix})).upperAscii().replace("-", "_")'
    entry = {"name": Expression(variable), "value": Expression(f"{ANNOTATIONS}[k]")}
    made = cel.literal(entry, f"{INIT}.env", 8)
    settings = Expression(f"{ANNOTATIONS}.filter(k, k.startsWith({prefix})).map(k, {made})")
    always = [item for item in items if item["name"] not in sidecar.environ]
    parts: list[Any] = []
    for name, value in sidecar.environ.items():
        key = cel.quoted(texts.settings_prefix(sidecar) + _kebab(sidecar, name))
        default = cel.literal([{"name": name, "value": value}], f"{INIT}.env", 8)
        parts.append(Expression(cel.either(f"{key} in {ANNOTATIONS}", "[]", default)))
    parts += [always] if always else []
    return Sum((*parts, settings)) if parts else settings


def _kebab(sidecar: Sidecar, variable: str) -> str:
    return variable.removeprefix(sidecar.prefix).lower().replace("_", "-")


def container_of(texts: Texts, sidecar: Sidecar) -> dict[str, Any]:
    """Return the container with CEL in the places where a Pod may choose."""

    def choose(parameter: Parameter) -> Expression:
        return _annotation(texts, sidecar, parameter)

    made: dict[str, Any] = {}
    for key, value in container(sidecar).items():
        made[key] = resolved(value, choose)
        if key == "envFrom":
            made["env"] = []  # in its place, if there is none
    (config,) = (item["configMapRef"] for item in made["envFrom"])
    if not sidecar.optional:  # the ConfigMap may be missing if annotations have the settings
        prefix = cel.quoted(texts.settings_prefix(sidecar))
        config["optional"] = Expression(f"{ANNOTATIONS}.exists(k, k.startsWith({prefix}))")
    made["env"] = _environ(texts, sidecar, made["env"])
    made["image"] = _image(texts, sidecar)
    made["resources"] = texts.resources(sidecar)
    return made


# -- the policy -------------------------------------------------------------------------------------------------------


def _patches(texts: Texts, sidecar: Sidecar) -> str:
    """Return the patches of one sidecar, or an empty list if the Pod does not want it."""

    def choose(parameter: Parameter) -> Expression:
        return _annotation(texts, sidecar, parameter)

    marker = f"/metadata/annotations/{texts.prefix}~1{annotation_name(sidecar, 'injected')}"
    items = [
        cel.patch("/spec/initContainers/0", container_of(texts, sidecar), INIT, 4),
        cel.patch(marker, _image(texts, sidecar), indent=4),
    ]
    adds = cel.either(f"variables.{wanted(sidecar)}", cel.patches(items, 2))
    parts = [adds]
    for volume in sidecar.volumes:
        condition = f"variables.{wanted(sidecar)} && !({cel.quoted(volume['name'])} in variables.volumes)"
        made = cel.patch("/spec/volumes/-", resolved(volume, choose), "spec.volumes", 4)
        parts.append(cel.either(condition, cel.patches([made], 2)))
    return cel.summed(parts)


def _missing(field: str, value: Any) -> str:
    return cel.either(f"has(object.{field})", "[]", f"[{cel.patch('/' + field.replace('.', '/'), value)}]")


def _pod() -> list[str]:
    """Return the patches of the Pod: fsGroup where it is absent, and no token for what is added.

    The API server mounts the token into the containers that it sees before this policy, which are the app's own.
    """
    grouped = " || ".join(f"variables.{wanted(sidecar)}" for sidecar in SIDECARS if sidecar.fs_group)
    grouped = f"({grouped})" if " " in grouped else grouped
    context = "has(object.spec.securityContext)"
    whole = cel.patch("/spec/securityContext", {"fsGroup": FS_GROUP}, "spec.securityContext")
    one = cel.patch("/spec/securityContext/fsGroup", FS_GROUP)
    token = cel.patch("/spec/automountServiceAccountToken", value=False)
    return [
        cel.either(f"{grouped} && !{context}", f"[{whole}]"),
        cel.either(f"{grouped} && {context} && !has(object.spec.securityContext.fsGroup)", f"[{one}]"),
        cel.either("has(object.spec.automountServiceAccountToken)", "[]", f"[{token}]"),
    ]


def expression(texts: Texts) -> str:
    """Return the CEL of all patches, in their order."""
    parts = [_missing("metadata.annotations", {}), _missing("spec.initContainers", []), _missing("spec.volumes", [])]
    parts += [_patches(texts, sidecar) for sidecar in reversed(SIDECARS)]
    return f"variables.adds ? (\n{cel.summed([*parts, *_pod()])}\n) : []"


def variables(texts: Texts) -> list[dict[str, str]]:
    """Return the policy's variables. What an expression reads is there: a missing key would refuse the Pod."""
    containers = "object.spec.containers.map(c, c.name)"
    init = cel.either("has(object.spec.initContainers)", "object.spec.initContainers.map(c, c.name)")
    found = {
        "annotations": "has(object.metadata.annotations) ? object.metadata.annotations : {}",
        "labels": "has(object.metadata.labels) ? object.metadata.labels : {}",
        "containers": f"{containers} + {init}",
        "volumes": "has(object.spec.volumes) ? object.spec.volumes.map(v, v.name) : []",
    }
    for sidecar in SIDECARS:
        key = cel.quoted(texts.key(sidecar.name))
        condition = (
            f'{key} in {LABELS} && {LABELS}[{key}] == "on" && !({cel.quoted(sidecar.name)} in variables.containers)'
        )
        if sidecar.name == OWN_IMAGE:
            condition += f" && {cel.quoted(texts.key(annotation_name(sidecar, 'image')))} in {ANNOTATIONS}"
        found[wanted(sidecar)] = condition
    found["adds"] = " || ".join(f"variables.{wanted(sidecar)}" for sidecar in SIDECARS)
    return [{"name": name, "expression": text} for name, text in found.items()]


def match_conditions(texts: Texts) -> list[dict[str, str]]:
    """Return the conditions under which the policy runs at all. They cannot use its variables."""
    listed = ", ".join(cel.quoted(sidecar.name) for sidecar in SIDECARS)
    prefix = cel.quoted(f"{texts.prefix}/")
    asks = (
        f"has(object.metadata.labels) && [{listed}].exists(n, {prefix} + n in object.metadata.labels &&"
        f' object.metadata.labels[{prefix} + n] == "on")'
    )
    mirror = f"!has(object.metadata.annotations) || !({cel.quoted(MIRROR)} in object.metadata.annotations)"
    return [{"name": "asks", "expression": asks}, {"name": "is-no-mirror-of-a-static-pod", "expression": mirror}]


PODS: list[dict[str, Any]] = [
    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
]


def policy(texts: Texts = LITERAL) -> dict[str, Any]:
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"resourceRules": PODS},
        "matchConditions": match_conditions(texts),
        "variables": variables(texts),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression(texts) + "\n"}}],
    }
    return _document("MutatingAdmissionPolicy", f"{texts.name}-inject", spec)


def bindings(texts: Texts = LITERAL) -> list[dict[str, Any]]:
    """Return a binding for each sidecar's label: one selector cannot say "or". A Pod's second finds nothing to do."""
    found = []
    for sidecar in SIDECARS:
        match = {
            "namespaceSelector": {"matchLabels": {texts.namespace_label: "on"}},
            "objectSelector": {"matchLabels": {texts.key(sidecar.name): "on"}},
        }
        spec = {"policyName": f"{texts.name}-inject", "matchResources": match}
        found.append(_document("MutatingAdmissionPolicyBinding", f"{texts.name}-inject-{sidecar.name}", spec))
    return found


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
