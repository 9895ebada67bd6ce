"""The roots that the settings declare: of values, of the files of `NAME_FILE`, and of several settings together."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from sidecars.chassis.config.effective_settings import declared_roots
from sidecars.chassis.config.settings import Settings, load, specs
from sidecars.chassis.isolation import roots
from tests.support import ROOT

NAMES = sorted(path.parent.name for path in (ROOT / "sidecars").glob("*/__main__.py"))


def settings_of(name: str) -> type[Settings]:
    cls: type[Settings] = import_module(f"sidecars.{name}.settings").Settings
    return cls


def declared(name: str, **environ: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for root in declared_roots(load(settings_of(name), environ), environ):
        found[root.path] = found.get(root.path, 0) | root.access
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_names_a_path_declares_what_is_done_there(name: str) -> None:
    """Without it the kernel would refuse the path, in production only: the tests run as the default does, confined."""
    not_paths = {"WARCOPIER_CONTEXT_PATH", "AMBASSADOR_HEALTH_PATH"}  # of URLs
    words = {"path", "directory", "glob", "address"}
    wrong = {
        spec.variable
        for spec in specs(settings_of(name))
        if words & set(re.split(r" · |, ", spec.type.name)) and spec.type.roots is None
    }
    assert wrong - not_paths == set()


def test_a_file_that_gives_a_setting_may_be_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    assert declared("adapter", ADAPTER_TARGET_TOKEN_FILE=str(token))[str(token)] == roots.READ


def test_the_copier_reads_its_source_and_writes_its_target() -> None:
    found = declared("warcopier", WARCOPIER_SOURCE="/a/one.war,/b/*/x.war", WARCOPIER_TARGET="/t")
    assert {path: found[path] for path in ("/a/one.war", "/b", "/t")} == {
        "/a/one.war": roots.READ,
        "/b": roots.READ,
        "/t": roots.MOVE,
    }


def test_a_unix_socket_is_made_in_its_directory() -> None:
    assert declared("adapter", ADAPTER_LISTEN="unix:/run/adapter.sock")["/run/adapter.sock"] == roots.LISTEN


def test_only_an_ambassador_with_a_target_in_kubernetes_reads_the_token_of_the_pod() -> None:
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert account not in declared("ambassador", AMBASSADOR_UPSTREAM="http://orders.shop.svc")
    assert declared("ambassador", AMBASSADOR_UPSTREAM="k8s://orders.shop:http")[account] == roots.READ


def test_only_an_ambassador_with_workers_starts_programs() -> None:
    one = declared("ambassador", AMBASSADOR_UPSTREAM="http://127.0.0.1:1")
    two = declared("ambassador", AMBASSADOR_UPSTREAM="http://127.0.0.1:1", AMBASSADOR_WORKERS="2")
    assert not any(access & roots.EXECUTE for access in one.values())
    assert two["/usr"] & roots.EXECUTE
