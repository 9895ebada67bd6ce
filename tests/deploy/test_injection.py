"""The injection policy on a table of Pods: its text, as an API server would get it, is evaluated here.

No API server can be had here. What only one can tell is not shown: that its type checker accepts the expressions.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml
from celpy.evaluation import CELEvalError
from hypothesis import given as generated
from hypothesis import strategies as st

from tests.deploy import cel, kubernetes
from tests.deploy.pods import APP, MIGRATE, NAMES, TABLE, VOLUMES, WAR, pod
from tests.support import ROOT, examples
from tools.manifests.containers import SIDECARS
from tools.names import image, label

DOCUMENTS = list(yaml.safe_load_all((ROOT / "deploy/policies/inject.yaml").read_text()))
POLICY, *BINDINGS = DOCUMENTS
SPEC: dict[str, Any] = POLICY["spec"]
ANNOTATIONS = [
    label("warcopier-image"), label("logshipper-volume"), label("adapter-rules"), "adapter.sidecars.invalid/mode",
    "ambassador.sidecars.invalid/max-connections", "note",
]  # fmt: skip


@cache
def _injected(given: str) -> str:
    return json.dumps(cel.mutated(SPEC, json.loads(given)))


def injected(given: dict[str, Any]) -> dict[str, Any]:
    """Return the Pod as the policy leaves it; each Pod is evaluated once, since that takes a while."""
    found: dict[str, Any] = json.loads(_injected(json.dumps(given, sort_keys=True)))
    return found


def init_containers(found: dict[str, Any]) -> list[str]:
    return [container["name"] for container in found["spec"].get("initContainers", [])]


def environ(found: dict[str, Any], name: str) -> dict[str, str]:
    """Return the variables with a value of one container."""
    (container,) = [each for each in found["spec"]["initContainers"] if each["name"] == name]
    names = [item["name"] for item in container["env"]]
    assert len(set(names)) == len(names), "one entry for each variable"
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


# -- every Pod of the table -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_the_policys_own_output_given_to_it_again_is_not_changed(name: str) -> None:
    once = injected(TABLE[name])
    assert injected(once) == once


@pytest.mark.parametrize("name", TABLE)
def test_kubernetes_accepts_the_pod_and_knows_every_field(name: str) -> None:
    kubernetes.accepts([injected(TABLE[name])], ["1.36", "1.37"])


@pytest.mark.parametrize("name", TABLE)
def test_what_the_pod_had_is_still_there_in_its_order_and_behind_what_was_added(name: str) -> None:
    given, found = TABLE[name], injected(TABLE[name])
    assert found["spec"]["containers"] == given["spec"]["containers"]
    had, has = given["spec"].get("initContainers", []), found["spec"].get("initContainers", [])
    assert has[len(has) - len(had) :] == had
    volumes = given["spec"].get("volumes", [])
    assert found["spec"].get("volumes", [])[: len(volumes)] == volumes
    assert found["metadata"]["labels"] == given["metadata"]["labels"]
    assert found["metadata"].get("annotations", {}).items() >= given["metadata"].get("annotations", {}).items()


@pytest.mark.parametrize("name", TABLE)
def test_no_name_of_a_container_or_of_a_volume_is_there_twice(name: str) -> None:
    spec = injected(TABLE[name])["spec"]
    for names in (
        [each["name"] for each in [*spec.get("initContainers", []), *spec["containers"]]],
        [each["name"] for each in spec["volumes"]],
    ):
        assert len(set(names)) == len(names)


@generated(
    st.sets(st.sampled_from(NAMES)),
    st.none() | st.dictionaries(st.sampled_from(ANNOTATIONS), st.text("ab/:. ", max_size=6), max_size=4),
    st.fixed_dictionaries(
        {},
        optional={
            "volumes": st.sampled_from([None, [], VOLUMES, [*VOLUMES, {"name": "adapter-rules", "emptyDir": {}}]]),
            "initContainers": st.sampled_from([None, [], MIGRATE, [{"name": "ambassador", "image": "mine"}]]),
            "securityContext": st.sampled_from([None, {}, {"fsGroup": 1}, {"runAsUser": 1}]),
            "automountServiceAccountToken": st.sampled_from([None, True, False]),
        },
    ),
)
@examples(25)
def test_any_pod_is_completed_once_and_stays_valid(
    asked: set[str], annotations_of_it: dict[str, str] | None, spec: dict[str, Any]
) -> None:
    once = injected(pod(*asked, annotations=annotations_of_it, **spec))
    assert cel.mutated(SPEC, once) == once
    kubernetes.accepts([once], ["1.36"])
    present = set(init_containers(once))
    assert present >= {name for name in asked if name != "warcopier"}
    assert ("warcopier" in present) == ("warcopier" in asked and label("warcopier-image") in (annotations_of_it or {}))


# -- what is asked for ------------------------------------------------------------------------------------------------


def test_all_four_come_in_their_order_before_the_pods_own_init_containers() -> None:
    found = injected(pod(*NAMES, annotations=WAR, initContainers=MIGRATE))
    assert init_containers(found) == ["ambassador", "adapter", "logshipper", "warcopier", "migrate"]
    assert (
        found["metadata"]["annotations"].items()
        >= {
            label("ambassador-injected"): image("ambassador"),
            label("warcopier-injected"): WAR[label("warcopier-image")],
        }.items()
    )


@pytest.mark.parametrize("asked", [[name] for name in NAMES] + [NAMES[:2], NAMES[1:3], [NAMES[0], NAMES[3]]])
def test_only_those_are_added_that_were_asked_for(asked: list[str]) -> None:
    assert init_containers(injected(pod(*asked, annotations=WAR))) == asked


@pytest.mark.parametrize(
    "given",
    [
        pod(),
        pod(labels={label("adapter"): "true"}),
        pod(labels={label("adapter"): "off"}),
        pod(annotations={label("adapter"): "on"}),
        pod("adapter", annotations={"kubernetes.io/config.mirror": "x"}),
        {**pod(), "metadata": {"name": "no-labels"}},
    ],
)
def test_a_pod_that_did_not_ask_is_not_changed_and_causes_no_error(given: dict[str, Any]) -> None:
    assert injected(given) == given
    assert cel.variables(SPEC, object=given)["containers"] == ["app"]


def test_a_pod_gets_nothing_of_a_sidecar_that_it_has_already_whatever_else_is_added() -> None:
    given = pod("adapter", initContainers=[{"name": "adapter", "image": "mine"}])
    assert injected(given) == given
    found = injected(pod("adapter", "logshipper", containers=[APP, {"name": "adapter", "image": "mine"}]))
    assert init_containers(found) == ["logshipper"]
    assert "adapter-rules" not in [volume["name"] for volume in found["spec"]["volumes"]]


def test_a_warcopier_is_added_only_if_the_pod_names_the_image_with_its_war() -> None:
    assert init_containers(injected(pod("warcopier", "adapter"))) == ["adapter"]
    (copier,) = injected(pod("warcopier", annotations=WAR))["spec"]["initContainers"]
    assert copier["image"] == "registry.invalid/example/shop-war:1"
    assert "restartPolicy" not in copier


# -- settings and parameters by annotation ----------------------------------------------------------------------------


def test_an_annotation_is_a_setting() -> None:
    annotations = {
        "ambassador.sidecars.invalid/orders-upstream": "http://orders",
        "ambassador.sidecars.invalid/log-level": "debug",
        "adapter.sidecars.invalid/target": "http://127.0.0.1:9000",
    }
    found = injected(pod("ambassador", "adapter", annotations=annotations))
    assert environ(found, "ambassador") == {
        "AMBASSADOR_MAX_CONNECTIONS": "256",
        "AMBASSADOR_ORDERS_UPSTREAM": "http://orders",
        "AMBASSADOR_LOG_LEVEL": "debug",
    }
    assert environ(found, "adapter") == {"ADAPTER_TARGET": "http://127.0.0.1:9000"}


def test_an_annotation_takes_the_place_of_a_default() -> None:
    annotations = {"ambassador.sidecars.invalid/max-connections": "64"}
    found = injected(pod("ambassador", annotations=annotations))
    assert environ(found, "ambassador") == {"AMBASSADOR_MAX_CONNECTIONS": "64"}


def test_a_pod_may_name_its_config_maps_its_secret_and_its_volume() -> None:
    annotations = {
        label("adapter-config-map"): "shop",
        label("adapter-rules"): "shop-rules",
        label("adapter-secret"): "shop-token",
        label("logshipper-volume"): "shop-logs",
    }
    found = injected(pod("adapter", "logshipper", annotations=annotations))["spec"]
    adapter, shipper = found["initContainers"]
    assert adapter["envFrom"] == [{"configMapRef": {"name": "shop", "optional": True}}]
    assert shipper["volumeMounts"][0] == {"name": "shop-logs", "mountPath": "/logs", "readOnly": True}
    volumes = {volume["name"]: volume for volume in found["volumes"]}
    assert volumes["adapter-rules"]["configMap"]["name"] == "shop-rules"
    assert volumes["adapter-secrets"]["secret"]["secretName"] == "shop-token"


@pytest.mark.parametrize("name", ["ambassador", "logshipper"])
def test_without_annotations_the_config_map_of_required_settings_must_be_there(name: str) -> None:
    for given, optional in ((None, False), ({f"{name}.sidecars.invalid/log-level": "debug"}, True)):
        (container,) = injected(pod(name, annotations=given))["spec"]["initContainers"]
        assert container["envFrom"] == [{"configMapRef": {"name": name, "optional": optional}}]


# -- the Pod ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {"fsGroup": 65532}),
        ({}, {"fsGroup": 65532}),
        ({"runAsUser": 1}, {"runAsUser": 1, "fsGroup": 65532}),
        ({"fsGroup": 0}, {"fsGroup": 0}),
    ],
)
def test_the_group_of_volumes_is_set_where_it_is_absent(given: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    assert injected(pod("logshipper", securityContext=given))["spec"]["securityContext"] == expected


def test_a_sidecar_that_shares_no_files_changes_no_group() -> None:
    assert "securityContext" not in injected(pod("ambassador", "adapter"))["spec"]


def test_no_token_for_what_is_added_unless_the_pod_says_that_it_wants_one() -> None:
    assert injected(pod("adapter"))["spec"]["automountServiceAccountToken"] is False
    assert injected(pod("adapter", automountServiceAccountToken=True))["spec"]["automountServiceAccountToken"] is True


# -- the policy and its bindings --------------------------------------------------------------------------------------


def test_kubernetes_knows_every_field_of_the_policy_and_its_bindings() -> None:
    kubernetes.accepts(DOCUMENTS, ["1.36", "1.37"])


def test_a_misspelt_field_of_the_policy_is_found_and_no_version_before_1_36_has_it() -> None:
    wrong = copy.deepcopy(POLICY)
    wrong["spec"]["matchCondition"] = wrong["spec"].pop("matchConditions")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes.accepts([wrong], ["1.36"])
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes.accepts([POLICY], ["1.35"])


def test_a_binding_sees_only_pods_that_ask_in_namespaces_that_opted_in() -> None:
    assert [binding["spec"]["policyName"] for binding in BINDINGS] == [POLICY["metadata"]["name"]] * len(SIDECARS)
    assert [binding["spec"]["matchResources"] for binding in BINDINGS] == [
        {
            "namespaceSelector": {"matchLabels": {label("inject"): "on"}},
            "objectSelector": {"matchLabels": {label(name): "on"}},
        }
        for name in NAMES
    ]


def test_the_policy_has_no_parameters_which_an_api_server_may_lose() -> None:
    assert "paramKind" not in SPEC
    assert all("paramRef" not in binding["spec"] for binding in BINDINGS)


def test_one_policy_adds_all_so_that_the_order_is_fixed() -> None:
    assert [document["kind"] for document in DOCUMENTS].count("MutatingAdmissionPolicy") == 1
    assert len(SPEC["mutations"]) == 1


# -- the evaluator: what an API server refuses, it refuses, too -------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ('[JSONPatch{op: "add", path: "/spec/volumes", value: [Object.spec.volumes{name: "a"}]}]', "a list of objects"),
        (
            '[JSONPatch{op: "add", path: "/spec/x", value: Object.spec.x{inner: Object.spec.y{a: 1}}}]',
            "Object.spec.y stands where Object.spec.x.inner is",
        ),
    ],
)
def test_the_evaluator_refuses_what_an_api_server_refuses(expression: str, reason: str) -> None:
    spec = {"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]}
    with pytest.raises(cel.Refused, match=reason):
        cel.mutated(spec, pod())


def test_the_evaluator_reports_a_key_that_is_missing() -> None:
    with pytest.raises(CELEvalError):
        cel.evaluate('object.metadata.annotations["a"] == "b"', object=pod())


# -- Kyverno ----------------------------------------------------------------------------------------------------------


def test_kyverno_gets_the_same_expressions() -> None:
    kyverno = yaml.safe_load((ROOT / "deploy/policies/kyverno.yaml").read_text())
    same = ("failurePolicy", "reinvocationPolicy", "matchConditions", "variables", "mutations")
    assert {key: kyverno["spec"][key] for key in same} == {key: SPEC[key] for key in same}
    assert "NOT RUN" in (ROOT / "deploy/policies/kyverno.yaml").read_text()
