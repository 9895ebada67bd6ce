"""The library chart, rendered by the real helm through the example chart that depends on it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import kubernetes
from tests.deploy.charts import HELM, REGISTRY, by_kind, refused, rendered, with_library
from tests.deploy.conftest import Run
from tests.deploy.test_components import pod_spec
from tools.manifests import settings_schema
from tools.manifests.containers import SIDECARS

DIGEST = f"sha256:{'0' * 64}"
EXAMPLE: dict[str, Any] = yaml.safe_load((HELM / "example/values.yaml").read_text())["sidecars"]
WAR = {"warcopier": {"enabled": True, "image": "registry.invalid/example/shop-war:1"}}


@pytest.fixture(scope="module")
def chart(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_library(tmp_path_factory.mktemp("charts"), run)


@contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """Replace a text of a template for a while."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    yield
    path.write_text(text)


def values(**of_the_library: Any) -> dict[str, Any]:
    return {"sidecars": of_the_library}


def web(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the init containers of the example's Deployment by name."""
    (deployment,) = by_kind(documents, "Deployment")
    return {container["name"]: container for container in pod_spec(deployment).get("initContainers") or []}


MATRIX: dict[str, dict[str, Any]] = {
    "the example": {},
    "nothing": values(
        logshipper={"enabled": False},
        workloads={"web": {name: {"enabled": False} for name in ("adapter", "ambassador")}},
    ),
    "all four": values(**WAR),
    "digests": values(logshipper={"digest": DIGEST}, tag="2.0.0"),
    "everything that can be set": values(
        tag="1",
        adapter={
            "enabled": True,
            "tag": "2",
            "env": [{"name": "ADAPTER_TOKEN_FILE", "value": "/run/adapter/token"}],
            "envFrom": [{"secretRef": {"name": "more"}}],
            "resources": {"requests": {"cpu": "1m"}},
            "volumeMounts": [{"name": "logs", "mountPath": "/more"}],
            "probes": False,
            "rules": "shop-rules",
            "secret": "shop-secret",
        },
        logshipper={"settings": {}, "configMap": "shop-logs", "volume": "logs"},
        **WAR,
    ),
    "a mirror of the registry": {"global": {"imageRegistry": "mirror.example:5000"}},
}


@pytest.mark.parametrize("name", MATRIX)
def test_kubernetes_accepts_every_combination_of_values(run: Run, chart: Path, name: str) -> None:
    documents = rendered(run, chart, MATRIX[name])
    assert {document["kind"] for document in documents} >= {"Deployment", "CronJob"}
    kubernetes.accepts(documents)


@pytest.mark.parametrize("name", ["sidecars", "example", "sidecars-platform"])
def test_helm_finds_nothing_to_complain_about(run: Run, tmp_path: Path, name: str) -> None:
    place = with_library(tmp_path, run) if name == "example" else HELM / name
    run("helm", "lint", "--strict", place)


def test_a_package_is_the_same_bytes_each_time(run: Run, tmp_path: Path) -> None:
    for name in ("sidecars", "sidecars-platform"):
        packages = []
        for folder in ("first", "second"):
            run("helm", "package", HELM / name, "--destination", tmp_path / folder)
            (package,) = (tmp_path / folder).glob(f"{name}-0*.tgz")
            packages.append(package.read_bytes())
        assert packages[0] == packages[1]
        with tarfile.open(tmp_path / "first" / package.name) as archive:
            assert f"{name}/values.schema.json" in archive.getnames()


def test_two_workloads_of_one_chart_have_different_sidecars(run: Run, chart: Path) -> None:
    documents = rendered(run, chart)
    assert list(web(documents)) == ["ambassador", "adapter", "logshipper"]
    (report,) = by_kind(documents, "CronJob")
    assert [container["name"] for container in pod_spec(report)["initContainers"]] == ["logshipper"]
    config = {document["metadata"]["name"]: document["data"] for document in by_kind(documents, "ConfigMap")}
    shared = EXAMPLE["logshipper"]["settings"]
    assert config["sidecars-web-logshipper"] == shared
    assert config["sidecars-report-logshipper"] == {**shared, "LOGSHIPPER_LABELS": "job=report"}


def test_a_workload_may_turn_off_what_the_chart_has_on(run: Run, chart: Path) -> None:
    documents = rendered(run, chart, values(workloads={"web": {"logshipper": {"enabled": False}}}))
    assert list(web(documents)) == ["ambassador", "adapter"]
    (deployment,) = by_kind(documents, "Deployment")
    assert pod_spec(deployment)["securityContext"] == {"runAsNonRoot": True}


def test_settings_are_in_a_config_map_whose_change_restarts_the_pods(run: Run, chart: Path) -> None:
    def checksum(documents: list[dict[str, Any]]) -> str:
        (deployment,) = by_kind(documents, "Deployment")
        found: str = deployment["spec"]["template"]["metadata"]["annotations"]["checksum/sidecars"]
        return found

    first = rendered(run, chart)
    other = rendered(run, chart, values(logshipper={"settings": {"LOGSHIPPER_SINK": "http://other/"}}))
    assert checksum(first) != checksum(other)
    assert checksum(first) == checksum(rendered(run, chart))
    assert web(first)["logshipper"]["envFrom"] == [{"configMapRef": {"name": "sidecars-web-logshipper"}}]


def test_a_variable_that_is_set_twice_is_in_the_container_once(run: Run, chart: Path) -> None:
    for setting in (
        {"settings": {"AMBASSADOR_UPSTREAM": "http://a", "AMBASSADOR_MAX_CONNECTIONS": "64"}},
        {"env": [{"name": "AMBASSADOR_MAX_CONNECTIONS", "value": "64"}]},
    ):
        found = web(rendered(run, chart, values(workloads={"web": {"ambassador": {"enabled": True, **setting}}})))
        names = [item["name"] for item in found["ambassador"]["env"]]
        assert names.count("AMBASSADOR_MAX_CONNECTIONS") == ("env" in setting)


def test_the_group_of_volumes_is_the_callers_where_it_has_one(run: Run, chart: Path) -> None:
    with edited(chart / "templates/web.yaml", '(dict "runAsNonRoot" true)', '(dict "fsGroup" 1000)'):
        (deployment,) = by_kind(rendered(run, chart), "Deployment")
    assert pod_spec(deployment)["securityContext"] == {"fsGroup": 1000}


# -- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"registry": "registry.example/a/b"}, "registry.example/a/b/logshipper:0.1.0"),
        ({"tag": "2"}, f"{REGISTRY}/logshipper:2"),
        ({"tag": "2", "logshipper": {"tag": "3"}}, f"{REGISTRY}/logshipper:3"),
        ({"tag": "2", "logshipper": {"tag": "3", "digest": DIGEST}}, f"{REGISTRY}/logshipper@{DIGEST}"),
        ({"logshipper": {"image": "registry.example/own:1"}}, "registry.example/own:1"),
    ],
)
def test_a_digest_goes_before_a_tag_and_a_sidecars_own_before_the_charts(
    run: Run, chart: Path, given: dict[str, Any], expected: str
) -> None:
    assert web(rendered(run, chart, values(**given)))["logshipper"]["image"] == expected


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("registry.example/sidecars", "mirror.example:5000/sidecars/logshipper:0.1.0"),
        ("localhost/sidecars", "mirror.example:5000/sidecars/logshipper:0.1.0"),
        ("registry.example:5000", "mirror.example:5000/logshipper:0.1.0"),
        ("team/sidecars", "mirror.example:5000/team/sidecars/logshipper:0.1.0"),
    ],
)
def test_a_mirror_for_all_charts_takes_the_place_of_the_registrys_host(
    run: Run, chart: Path, registry: str, expected: str
) -> None:
    given = {"global": {"imageRegistry": "mirror.example:5000"}, **values(registry=registry)}
    assert web(rendered(run, chart, given))["logshipper"]["image"] == expected


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"registry": ""}, "set sidecars.registry, such as registry.example/sidecars: no registry is built in"),
        ({"registry": "Registry.example"}, "/registry"),
        ({"logshiper": {}}, "'logshiper' not allowed"),
        ({"logshipper": {"tagg": "1"}}, "'tagg' not allowed"),
        ({"logshipper": {"digest": "sha256:1"}}, "/logshipper/digest"),
        ({"logshipper": {"settings": {"LOGSHIPPER_PATH": "x"}}}, "'LOGSHIPPER_PATH' not allowed"),
        ({"adapter": {"settings": {"ADAPTER_TARGT": "x"}}}, "'ADAPTER_TARGT' not allowed"),
        ({"ambassador": {"settings": {"AMBASSADOR_MAX_CONNECTIONS": 64}}}, "got number, want string"),
        (
            {"warcopier": {"settings": {"WARCOPIER_VALIDATE": "wra"}}},
            "/warcopier/settings/WARCOPIER_VALIDATE': value must be one of 'war', 'zip', 'none'",
        ),
        (
            {"ambassador": {"settings": {"AMBASSADOR_LOG_LEVEL": "INFO"}}},
            "/AMBASSADOR_LOG_LEVEL': value must be one of 'debug', 'info', 'warning', 'error'",
        ),
        (
            {"warcopier": {"settings": {"WARCOPIER_PRUNE": "yes"}}},
            "/WARCOPIER_PRUNE': value must be one of 'true', 'false'",
        ),
        (
            {"logshipper": {"settings": {"LOGSHIPPER_ORDERS_LONG_LINES": "drop"}}},
            "/LOGSHIPPER_ORDERS_LONG_LINES': value must be one of 'split', 'cut'",
        ),
        ({"workloads": {"web": {"logshipper": {"tagg": "1"}}}}, "'tagg' not allowed"),
        ({"workloads": {"web": {"adapter": {"settings": {"ADAPTER_TARGT": "x"}}}}}, "'ADAPTER_TARGT' not allowed"),
        ({"warcopier": {"enabled": True}}, "set sidecars.warcopier.image to the image that has your WAR"),
        (
            {"workloads": {"web": {"ambassador": {"settings": {"AMBASSADOR_CONECT_TIMEOUT": "1s"}}}}},
            "AMBASSADOR_CONECT_TIMEOUT is not a setting, or AMBASSADOR_CONECT_UPSTREAM is missing",
        ),
    ],
)
def test_a_mistake_is_refused_by_helm_template_which_names_it(
    run: Run, chart: Path, given: dict[str, Any], sentence: str
) -> None:
    assert sentence in refused(run, chart, values(**given))


def test_a_workload_that_no_value_names_is_refused(run: Run, chart: Path) -> None:
    with edited(chart / "templates/web.yaml", '"name" "web"', '"name" "wbe"'):
        assert 'there is no workload "wbe" in sidecars.workloads' in refused(run, chart, {})


def test_a_setting_of_a_member_is_accepted_and_its_anchor_may_be_elsewhere(run: Run, chart: Path) -> None:
    timeout = {"AMBASSADOR_ORDERS_TIMEOUT": "1s"}
    for ambassador in (
        {"settings": {**timeout, "AMBASSADOR_ORDERS_UPSTREAM": "http://a"}},
        {"settings": {**timeout, "AMBASSADOR_ORDERS_UPSTREAM_FILE": "/run/a"}},
        {"settings": timeout, "env": [{"name": "AMBASSADOR_ORDERS_UPSTREAM", "value": "http://a"}]},
        {"settings": timeout, "envFrom": [{"configMapRef": {"name": "upstreams"}}]},
    ):
        rendered(run, chart, values(workloads={"web": {"ambassador": ambassador}}))


def test_each_word_of_a_choice_is_accepted_also_with_a_members_name(run: Run, chart: Path) -> None:
    for sidecar in SIDECARS:
        schema = settings_schema.schema(sidecar)
        for word in range(4):
            given = {
                variable: words[min(word, len(words) - 1)]
                for variable, one in schema["properties"].items()
                if (words := one.get("enum"))
            }
            assert given, "each sidecar has a choice"
            of_one = {sidecar.name: {"enabled": True, "settings": given}}
            rendered(
                run,
                chart,
                values(**{**WAR, **of_one, "warcopier": {**WAR["warcopier"], **of_one.get("warcopier", {})}}),
            )
    named = {"LOGSHIPPER_ORDERS_PATHS": "/logs/*", "LOGSHIPPER_ORDERS_LONG_LINES": "cut"}
    rendered(run, chart, values(logshipper={"settings": named}))


def test_an_old_kubernetes_is_refused(run: Run, chart: Path) -> None:
    assert "native sidecars need Kubernetes 1.29" in refused(run, chart, {}, "--kube-version", "1.28.0")


def test_the_library_cannot_be_installed_by_itself(run: Run) -> None:
    ran = run("helm", "template", "sidecars", HELM / "sidecars", check=False)
    assert "library charts are not installable" in ran.stderr
