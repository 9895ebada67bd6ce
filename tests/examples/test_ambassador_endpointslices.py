"""The twin of examples/ambassador/endpointslices.yaml: its settings against an API server of ours, and its rights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.ambassador.api_server import ApiServer, credentials, endpoint, endpoint_slice
from tests.ambassador.support import Ambassador, Backend, answering
from tests.conftest import Start
from tests.deploy.kubernetes import accepts
from tests.support import ROOT

EXAMPLE = ROOT / "examples/ambassador"


def documents() -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all((EXAMPLE / "endpointslices.yaml").read_text())}


def ambassador() -> dict[str, Any]:
    (found,) = documents()["Pod"]["spec"]["initContainers"]
    return dict(found)


def test_the_manifest_is_valid_for_kubernetes() -> None:
    accepts(list(documents().values()))


def test_the_role_may_read_endpointslices_of_its_namespace_and_nothing_else() -> None:
    (rule,) = documents()["Role"]["rules"]
    assert rule == {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["get", "list", "watch"],
    }
    binding, account = documents()["RoleBinding"], documents()["ServiceAccount"]
    assert binding["roleRef"]["name"] == documents()["Role"]["metadata"]["name"]
    assert [each["name"] for each in binding["subjects"]] == [account["metadata"]["name"]]
    assert documents()["Pod"]["spec"]["serviceAccountName"] == account["metadata"]["name"]


def test_the_token_is_in_the_ambassadors_container_alone() -> None:
    spec = documents()["Pod"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    (volume,) = spec["volumes"]
    assert volume["name"] in {each["name"] for each in ambassador()["volumeMounts"]}
    assert not any("volumeMounts" in each for each in spec["containers"])
    paths = [item["path"] for source in volume["projected"]["sources"] for item in _items(source)]
    assert sorted(paths) == ["ca.crt", "namespace", "token"]


def _items(source: dict[str, Any]) -> list[dict[str, Any]]:
    ((_, found),) = source.items()
    return list(found.get("items", [found]))


def test_its_settings_follow_the_service_of_the_other_manifest(start: Start, tmp_path: Path) -> None:
    services = [each for each in yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text()) if each["kind"] == "Service"]
    assert "orders" in {each["metadata"]["name"] for each in services}
    environ = {each["name"]: each["value"] for each in ambassador()["env"] if "value" in each}
    assert environ["AMBASSADOR_ORDERS_UPSTREAM"] == "k8s://orders:http"
    api = ApiServer(namespace="shop")
    pod = Backend(answering(b"an order"), host="127.0.0.2")
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2")], pod.port))
    made = Ambassador(
        start,
        environ["AMBASSADOR_ORDERS_UPSTREAM"],
        KUBERNETES_API=api.url,
        KUBERNETES_ACCOUNT=str(credentials(tmp_path / "serviceaccount", namespace="shop")),
        MAX_CONNECTIONS=environ["AMBASSADOR_MAX_CONNECTIONS"],
    )
    assert made.ask()[2] == b"an order"
    api.stop()
    pod.stop()
