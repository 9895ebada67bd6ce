"""The files of `deploy/policies`: the injection policy, its guard, and the injection as a policy of Kyverno."""

from __future__ import annotations

from typing import Any

from tools import names
from tools.manifests import guard, injection
from tools.manifests.chart_values import with_table
from tools.manifests.containers import SIDECARS
from tools.manifests.injection import LITERAL
from tools.manifests.library import OWN_IMAGE, ROOT
from tools.manifests.yaml_text import block

FOLDER = "deploy/policies"
_RENDERED = "Rendered by `make docs` from tools/manifests; do not edit."
_INJECT = f"""\
Adds the sidecars that a Pod's labels ask for, in namespaces with the label {names.label("inject")}=on. Kubernetes 1.36.

  kubectl label namespace shop {names.label("inject")}=on
  sed 's#{names.REGISTRY}#registry.example/sidecars#' inject.yaml | kubectl apply -f -

The chart deploy/helm/sidecars-platform has the same policy with your registry, digests and labels in place. README.md
has the labels and annotations of a Pod. Not run here: this repository's tests have no API server. They evaluate this
text by cel-python on a table of Pods. An earlier form of this policy, for one sidecar, ran on Kubernetes 1.36.2.
"""
_GUARD = """\
Warns of a Pod that asks for a sidecar and gets none, and says why: no label of the namespace, another value than "on",
a misspelt setting. Kubernetes 1.30. To refuse such Pods set validationActions to [Deny, Audit]. Not run here: this
repository's tests have no API server, and evaluate these expressions by cel-python.
"""
_KYVERNO = f"""\
The same injection for clusters without MutatingAdmissionPolicy that have Kyverno (policies.kyverno.io/v1): the same
variables, conditions and patches, in its MutatingPolicy. NOT RUN by anybody here: no test has Kyverno. Its fields are
those of Kyverno's Go types. Without Kyverno, before Kubernetes 1.36, use a component (deploy/kustomize) or the library
chart (deploy/helm/sidecars).

  sed 's#{names.REGISTRY}#registry.example/sidecars#' kyverno.yaml | kubectl apply -f -
"""


def kyverno() -> dict[str, Any]:
    """Return the MutatingPolicy. It has no bindings: the selector of namespaces stands in it."""
    spec = dict(injection.policy()["spec"])
    selector = {"matchLabels": {LITERAL.namespace_label: "on"}}
    spec["matchConstraints"] = {**spec["matchConstraints"], "namespaceSelector": selector}
    spec["autogen"] = {"podControllers": {"controllers": []}}  # Pods alone: their controllers need no rule
    metadata = {"name": f"{LITERAL.name}-inject"}
    return {"apiVersion": "policies.kyverno.io/v1", "kind": "MutatingPolicy", "metadata": metadata, "spec": spec}


def _file(comment: str, documents: list[dict[str, Any]]) -> str:
    text = "".join(f"# {line}".rstrip() + "\n" for line in f"{comment.rstrip()}\n{_RENDERED}".split("\n"))
    return text + "---\n".join(block(document) + "\n" for document in documents)


def _readme() -> str:
    """Return the README with the table of annotations."""
    rows: list[tuple[str, ...]] = [("annotation of the Pod", "default", "meaning")]
    for sidecar in SIDECARS:
        settings = (
            f"a setting of the {sidecar.name}, in lower case with hyphens: `log-level` is `{sidecar.prefix}LOG_LEVEL`"
        )
        rows.append((f"`{LITERAL.settings_prefix(sidecar)}<setting>`", "", settings))
    for sidecar in SIDECARS:
        parameters = [(each.name, f"`{each.default}`", each.meaning) for each in sidecar.all_parameters]
        if sidecar.name == OWN_IMAGE:
            parameters.append(("image", "", "image that has your WAR; required"))
        for name, default, meaning in parameters:
            key = LITERAL.key(injection.annotation_name(sidecar, name))
            rows.append((f"`{key}`", default, f"{sidecar.name}: {meaning}"))
    return with_table(ROOT / FOLDER / "README.md", rows)


def render() -> dict[str, str]:
    """Return the text of each file, by its path below the repository's root."""
    return {
        f"{FOLDER}/inject.yaml": _file(_INJECT, [injection.policy(), *injection.bindings()]),
        f"{FOLDER}/guard.yaml": _file(_GUARD, guard.documents()),
        f"{FOLDER}/kyverno.yaml": _file(_KYVERNO, [kyverno()]),
        f"{FOLDER}/README.md": _readme(),
    }
