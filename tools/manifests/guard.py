"""The guard: it tells why a Pod that asks for a sidecar got none. One ValidatingAdmissionPolicy for each sidecar.

Its binding sees the Pods whose labels have the sidecar's key, whatever the value and the namespace are: the mistakes
that the injection policy cannot see. `kubectl` prints a warning; the audit log has the same sentence. A controller that
creates Pods shows warnings to nobody: `Deny` as the action makes the sentence an event of the ReplicaSet.
"""

from __future__ import annotations

from typing import Any

from tools.manifests import cel, settings_schema
from tools.manifests.containers import SIDECARS, Sidecar
from tools.manifests.injection import LITERAL, PODS, Texts, annotation_name
from tools.manifests.library import OWN_IMAGE

ACTIONS = ("Warn", "Audit")


def name(texts: Texts, sidecar: Sidecar) -> str:
    return f"{texts.name}-guard-{sidecar.name}"


def settings_pattern(sidecar: Sidecar) -> str:
    """Return the regular expression of what may follow the prefix of a setting's annotation: `log-level`."""
    own = [
        each.removeprefix(sidecar.prefix)
        for each in settings_schema.variables(sidecar)
        if each.startswith(sidecar.prefix)
    ]
    grouped = settings_schema.suffixes(sidecar)
    alone = "|".join(sorted(_kebab(each) for each in own if each not in grouped))
    named = "|".join(sorted(map(_kebab, grouped)))
    either = f"{alone}|([a-z][a-z0-9]*-)*({named})" if named else alone
    return f"^({either})(-file)?$"


def _kebab(suffix: str) -> str:
    return suffix.lower().replace("_", "-")


def reasons(texts: Texts, sidecar: Sidecar) -> str:
    """Return the CEL of the sentence: the reasons in the order in which they are found out."""
    label = f"{texts.key(sidecar.name)}=on"
    opted = cel.quoted(texts.namespace_label)
    has_labels = "has(namespaceObject.metadata.labels)"
    in_labels = f"{opted} in namespaceObject.metadata.labels"
    opted_in = f'{has_labels} && {in_labels} && namespaceObject.metadata.labels[{opted}] == "on"'
    start = cel.quoted(f"the label {label} is set, but no {sidecar.name} was injected: ")
    namespace = cel.quoted(f"the namespace has no label {texts.namespace_label}=on")
    absent = cel.quoted(f"the policy {texts.name}-inject is not in force here (it needs Kubernetes 1.36)")
    found = f"!({opted_in}) ? {namespace} : "
    if sidecar.name == OWN_IMAGE:
        key = texts.key(annotation_name(sidecar, "image"))
        image = cel.quoted(f"set the annotation {key} to the image that has your WAR")
        found += f"!({cel.quoted(key)} in variables.annotations) ? {image} : "
    return f"{start} + ({found}{absent})"


def policy(sidecar: Sidecar, texts: Texts = LITERAL) -> dict[str, Any]:
    """Return the policy of one sidecar, with a validation for each mistake."""
    label, prefix = cel.quoted(texts.key(sidecar.name)), cel.quoted(texts.settings_prefix(sidecar))
    unknown = (
        f"variables.annotations.filter(k, k.startsWith({prefix}) &&"
        f" !k.substring(size({prefix})).matches({cel.quoted(settings_pattern(sidecar))}))"
    )
    init = cel.either("has(object.spec.initContainers)", "object.spec.initContainers.map(c, c.name)")
    variables = {
        "annotations": "has(object.metadata.annotations) ? object.metadata.annotations : {}",
        "value": f"object.metadata.labels[{label}]",
        "containers": f"object.spec.containers.map(c, c.name) + {init}",
        "unknown": unknown,
    }
    value = cel.quoted(f"the label {texts.key(sidecar.name)} asks for the {sidecar.name} with the value on, not with ")
    validations = [
        {"expression": 'variables.value in ["on", "off"]', "messageExpression": f"{value} + variables.value"},
        {
            "expression": f'variables.value != "on" || {cel.quoted(sidecar.name)} in variables.containers',
            "messageExpression": reasons(texts, sidecar),
        },
        {
            "expression": "variables.unknown.size() == 0",
            "messageExpression": f'{cel.quoted(f"no setting of the {sidecar.name}: ")} + variables.unknown.join(", ")',
        },
    ]
    spec = {
        "failurePolicy": "Ignore",  # a guard that fails must not be what stops a Pod
        "matchConstraints": {"resourceRules": PODS},
        "variables": [{"name": key, "expression": text} for key, text in variables.items()],
        "validations": validations,
    }
    return _document("ValidatingAdmissionPolicy", name(texts, sidecar), spec)


def binding(sidecar: Sidecar, actions: Any, texts: Texts = LITERAL) -> dict[str, Any]:
    selector = {"matchExpressions": [{"key": texts.key(sidecar.name), "operator": "Exists"}]}
    spec = {
        "policyName": name(texts, sidecar),
        "validationActions": actions,
        "matchResources": {"objectSelector": selector},
    }
    return _document("ValidatingAdmissionPolicyBinding", name(texts, sidecar), spec)


def documents(actions: Any = ACTIONS, texts: Texts = LITERAL) -> list[dict[str, Any]]:
    """Return all policies and bindings. `actions` are `Warn`, `Audit`, or `Deny` and `Audit`."""
    shown = list(actions) if isinstance(actions, tuple) else actions
    return [each for sidecar in SIDECARS for each in (policy(sidecar, texts), binding(sidecar, shown, texts))]


def _document(kind: str, called: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": called}, "spec": spec}
