"""The generated manifests are those of the descriptions, and the printer of YAML prints what it was given."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support import ROOT
from tools.manifests import __main__ as program
from tools.manifests import files
from tools.manifests.containers import SIDECARS, container, resolved
from tools.manifests.yaml_text import block

VALUES = st.recursive(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20) | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-/.", min_size=1), inner, max_size=4),
    max_leaves=20,
)


def test_every_generated_file_is_that_of_the_descriptions() -> None:
    assert program.main(["--check"]) == 0


def test_a_file_that_differs_or_that_nothing_renders_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "deploy/kustomize/adapter/kustomization.yaml"
    others = {key: text for key, text in files.rendered().items() if not key.endswith("adapter/pod.yaml")}
    monkeypatch.setattr(program, "rendered", lambda: {**others, name: "other\n"})
    monkeypatch.setattr(files, "rendered", lambda: others)
    assert program.main(["--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{name} is stale: run make docs",
        "deploy/kustomize/adapter/pod.yaml is rendered by nothing: run make docs",
    ]


@given(st.dictionaries(st.text("abc-/.", min_size=1), VALUES, min_size=1, max_size=4))
def test_what_is_printed_as_yaml_is_read_back(value: dict[str, Any]) -> None:
    assert yaml.safe_load(block(value) + "\n") == value


def test_words_that_yaml_reads_as_other_things_are_quoted() -> None:
    plain = ["on", "No", "null", "true", "1", "0x1", "1e3", "2026-01-01", "~", "a:b", "#a", "12:30", "50m", "a-b"]
    words = [*plain, "", "a: b", "a\nb\n", "a\nb", " a\n"]
    value = {"words": words, **{f"key{index}": word for index, word in enumerate(words)}}
    assert yaml.safe_load(block(value) + "\n") == value


def test_each_sidecar_has_a_user_a_port_and_volumes_of_its_own() -> None:
    users = [sidecar.user for sidecar in SIDECARS]
    ports = [port for sidecar in SIDECARS for port in (sidecar.admin, *sidecar.ports.values()) if port]
    volumes = [volume["name"] for sidecar in SIDECARS for volume in resolved(list(sidecar.volumes))]
    for numbers in (users, ports, volumes):
        assert len(set(numbers)) == len(numbers)


def test_an_admin_port_is_the_one_that_the_program_listens_on() -> None:
    for sidecar in SIDECARS:
        text = (ROOT / "sidecars" / sidecar.name / "settings.py").read_text()
        assert sidecar.admin is None or f'":{sidecar.admin}"' in text
        made = resolved(container(sidecar))
        assert (made.get("restartPolicy") == "Always") == (sidecar.admin is not None)
