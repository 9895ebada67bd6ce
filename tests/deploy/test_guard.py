"""The guard's sentences, evaluated from the text of its policies."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import SettingsError, load
from tests.deploy import cel, kubernetes
from tests.deploy.pods import NAMES, WAR, pod
from tests.deploy.test_injection import injected
from tests.support import ROOT
from tools.manifests.containers import SIDECARS
from tools.manifests.guard import settings_pattern
from tools.manifests.settings_schema import settings_of, suffixes, variables
from tools.names import label

DOCUMENTS = list(yaml.safe_load_all((ROOT / "deploy/policies/guard.yaml").read_text()))
POLICIES = dict(zip(NAMES, DOCUMENTS[0::2], strict=True))
BINDINGS = dict(zip(NAMES, DOCUMENTS[1::2], strict=True))
OPTED_IN = {"metadata": {"labels": {label("inject"): "on"}}}
BY_NAME = {sidecar.name: sidecar for sidecar in SIDECARS}


def warnings(name: str, of: dict[str, Any], namespace: dict[str, Any] | None = None) -> list[str]:
    """Return the sentences of one sidecar's guard about a Pod that its binding selects."""
    spec = POLICIES[name]["spec"]
    names = {"object": of, "namespaceObject": namespace or OPTED_IN}
    known = cel.variables(spec, **names)
    failed = [
        each for each in spec["validations"] if cel.evaluate(each["expression"], variables=known, **names) is not True
    ]
    return [cel.evaluate(each["messageExpression"], variables=known, **names) for each in failed]


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_that_got_its_sidecar_causes_no_warning(name: str) -> None:
    assert warnings(name, injected(pod(name, annotations=WAR))) == []
    assert warnings(name, pod(name, initContainers=[{"name": name, "image": "mine"}])) == []
    assert warnings(name, pod(labels={label(name): "off"})) == []


@pytest.mark.parametrize("namespace", [{"metadata": {}}, {"metadata": {"labels": {label("inject"): "true"}}}])
def test_a_namespace_that_did_not_opt_in_is_the_reason(namespace: dict[str, Any]) -> None:
    (sentence,) = warnings("adapter", pod("adapter"), namespace)
    assert sentence == (
        "the label sidecars.invalid/adapter=on is set, but no adapter was injected:"
        " the namespace has no label sidecars.invalid/inject=on"
    )


def test_a_policy_that_is_not_there_is_the_reason() -> None:
    (sentence,) = warnings("logshipper", pod("logshipper"))
    assert sentence == (
        "the label sidecars.invalid/logshipper=on is set, but no logshipper was injected:"
        " the policy sidecars-inject is not in force here (it needs Kubernetes 1.36)"
    )


def test_the_image_with_the_war_is_asked_for() -> None:
    (sentence,) = warnings("warcopier", injected(pod("warcopier")))
    assert "set the annotation sidecars.invalid/warcopier-image to the image that has your WAR" in sentence


def test_another_value_of_the_label_is_told() -> None:
    assert warnings("adapter", pod(labels={label("adapter"): "true"})) == [
        "the label sidecars.invalid/adapter asks for the adapter with the value on, not with true"
    ]


def test_misspelt_settings_are_named() -> None:
    annotations = {"adapter.sidecars.invalid/targt": "http://a", "adapter.sidecars.invalid/mode": "verdict"}
    assert warnings("adapter", injected(pod("adapter", annotations=annotations))) == [
        "no setting of the adapter: adapter.sidecars.invalid/targt"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_of_a_sidecar_is_known_to_its_guard(name: str) -> None:
    sidecar = BY_NAME[name]
    own = [each.removeprefix(sidecar.prefix) for each in variables(sidecar) if each.startswith(sidecar.prefix)]
    keys = [each.lower().replace("_", "-") for each in own]
    keys += [f"orders-{suffix.lower().replace('_', '-')}" for suffix in suffixes(sidecar)]
    annotations = {f"{name}.sidecars.invalid/{key}{file}": "x" for key in keys for file in ("", "-file")}
    given = pod(name, annotations=annotations, initContainers=[{"name": name, "image": "mine"}])
    assert warnings(name, given) == []
    assert settings_pattern(sidecar) in POLICIES[name]["spec"]["variables"][-1]["expression"]


@given(st.sampled_from(NAMES), st.from_regex("[a-z]{1,6}(-[a-z]{1,6}){0,2}", fullmatch=True))
def test_what_the_guard_lets_pass_is_a_setting_of_the_program_or_one_of_a_member(name: str, key: str) -> None:
    sidecar = BY_NAME[name]
    if re.search(settings_pattern(sidecar), key):
        variable = f"{sidecar.prefix}{key.upper().replace('-', '_')}"
        with pytest.raises(SettingsError) as caught:
            load(settings_of(sidecar), {variable: "\x00"})
        assert f"{variable} is not a setting;" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_guard_sees_every_pod_with_its_label_in_every_namespace(name: str) -> None:
    match = {"objectSelector": {"matchExpressions": [{"key": label(name), "operator": "Exists"}]}}
    assert BINDINGS[name]["spec"]["matchResources"] == match
    assert BINDINGS[name]["spec"]["validationActions"] == ["Warn", "Audit"]
    assert BINDINGS[name]["spec"]["policyName"] == POLICIES[name]["metadata"]["name"]


def test_kubernetes_knows_every_field_from_1_30_on() -> None:
    kubernetes.accepts(DOCUMENTS, kubernetes.VERSIONS[1:])
