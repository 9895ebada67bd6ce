"""Fields of a file from its path: one reading or none, whatever names there are."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.transform.parsing.path_fields import PathFields
from sidecars.logshipper.transform.pipeline import Pipeline
from tests.logshipper.pipelines import settings
from tests.logshipper.support import a_chunk

PODS = "/var/log/pods"
SHOP = {"namespace": "shop", "pod": "web-1", "pod_uid": "0a1b", "container": "app", "restart": "0"}


@pytest.mark.parametrize(
    ("template", "path", "fields"),
    [
        ("kubernetes", f"{PODS}/shop_web-1_0a1b/app/0.log", SHOP),
        ("kubernetes", f"{PODS}/shop_web-1_0a1b/app/0.log.20261130-101112", SHOP),
        ("kubernetes", f"{PODS}/shop_web-1_0a1b/app/0.log.20261130-101112.gz", SHOP),
        ("kubernetes", f"{PODS}/shop_web.a.b_0a1b/app/12.log", {**SHOP, "pod": "web.a.b", "restart": "12"}),
        ("kubernetes", f"{PODS}/shop_web_1_0a1b/app/0.log", {}),
        ("kubernetes", f"{PODS}/shop_web-1/app/0.log", {}),
        ("kubernetes", f"{PODS}/_web-1_0a1b/app/0.log", {}),
        ("kubernetes", f"{PODS}/shop_web-1_0a1b/app/x/0.log", {}),
        ("kubernetes", f"/logs{PODS}/shop_web-1_0a1b/app/0.log", {}),
        ("kubernetes", f"{PODS}/shop_web-1_0a1b/app/.log", {}),
        ("/logs/{app}.log", "/logs/shop.web.log", {"app": "shop.web"}),
        ("/logs/{app}.log", "/logs/shop.log.log", {"app": "shop.log"}),
        ("/logs/{app}.log", "/logs/.log", {}),
        ("/logs/{app}.log", "/logs/shop.txt", {}),
        ("/logs/*-{app}-*.log", "/logs/a-b-c.log", {"app": "b"}),
        ("/logs/*-{app}-*.log", "/logs/-b-.log", {"app": "b"}),
        ("/logs/{a}-{b}_{c}", "/logs/x-y_z", {"a": "x", "b": "y", "c": "z"}),
        ("/logs/{a}-{b}_{c}", "/logs/x_w-y_z", {}),
        ("/*/{app}/x.log", "/logs/shop/x.log", {"app": "shop"}),
        ("/{part}/shop/x.log", "/logs/other/x.log", {}),
        ("/logs/{app}.log", "/logs/\udcffshop.log", {"app": "\ufffdshop"}),
    ],
)
def test_a_path_gives_the_fields_of_the_template_or_none(template: str, path: str, fields: dict[str, str]) -> None:
    assert PathFields(template).of(path) == fields


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("logs/{app}.log", "absolute path"),
        ("/logs/{app}/", "absolute path"),
        ("/logs/app.log", "a {field}"),
        ("/logs/{app}/{app}.log", "each {field} once"),
        ("/logs/{a}{b}.log", "a text between two fields"),
        ("/logs/{a}*.log", "a text between two fields"),
        ("/logs/**/{a}.log", "without **"),
        ("/logs/{a.log", "in {braces}"),
        ("/logs/a}/{a}.log", "in {braces}"),
        ("/logs/{}.log", "letters, digits"),
        ("/logs/{app-name}.log", "letters, digits"),
        ("/logs/{time}.log", "time cannot be a field"),
    ],
)
def test_a_template_that_could_be_read_in_two_ways_is_refused_with_a_sentence(template: str, part: str) -> None:
    with pytest.raises(ValueError, match=part.replace("{", r"\{").replace("}", r"\}").replace("*", r"\*")):
        PathFields(template)


NAMES = st.text("ab-._{}*%\\\n", max_size=8)


@given(NAMES, NAMES, NAMES, NAMES)
def test_whatever_the_names_are_the_path_says_what_was_read_and_nothing_else(a: str, b: str, c: str, d: str) -> None:
    path = f"{PODS}/{a}_{b}_{c}/{d}/0.log"
    fields = PathFields("kubernetes").of(path)
    if fields:
        assert fields == {"namespace": a, "pod": b, "pod_uid": c, "container": d, "restart": "0"}
    else:
        assert not (a and b and c and d) or "_" in a + b + c


@given(st.text("ab_-.", min_size=1, max_size=12), st.text("ab_-.", max_size=12))
def test_two_paths_with_the_same_fields_differ_only_where_the_template_has_a_star(name: str, other: str) -> None:
    template = PathFields("/logs/{a}-{b}_{c}.log")
    one, two = template.of(f"/logs/{name}"), template.of(f"/logs/{other}")
    if one and one == two:
        assert name == other


def pipeline(**values: str) -> Pipeline:
    paths = {"PATHS": f"{PODS}/*/*/*.log*", "PATH_FIELDS": "kubernetes", **values}
    own = {"pod": "agent-x", "namespace": "logging", "pod_uid": "ff", "pod_ip": "10.0.0.9", "node": "node-1"}
    return Pipeline(settings(**paths).inputs["default"], own)


def record(data: str, path: str, **values: str) -> dict[str, object]:
    made = pipeline(**values).process(replace(a_chunk(data.encode()), first_path=path))
    line: dict[str, object] = json.loads(b"".join(ndjson.encode(Batch("default", (made,)))))
    return line


def test_a_record_has_the_fields_of_its_pod_and_of_our_own_pod_only_the_node() -> None:
    found = record("hello\n", f"{PODS}/shop_web-1_0a1b/app/0.log", LABELS="env=prod")
    for member in ("id", "file"):
        del found[member]
    assert found == {**SHOP, "node": "node-1", "env": "prod", "message": "hello"}


def test_a_path_that_does_not_fit_gives_no_pod_at_all_and_is_counted() -> None:
    made = pipeline().process(replace(a_chunk(b"a\nb\n"), first_path=f"{PODS}/odd/app/0.log"))
    assert dict(made.labels) == {"node": "node-1"}
    assert made.misses == {"path": 2}


def test_an_app_cannot_forge_the_pod_with_fields_of_its_own_wherever_its_file_is() -> None:
    line = '{"namespace":"kube-system","pod":"etcd","container":"x","message":"m"}\n'
    found = record(line, f"{PODS}/shop_web-1_0a1b/app/0.log", FORMAT="json")
    assert (found["namespace"], found["pod"], found["container"]) == ("shop", "web-1", "app")
    assert found["namespace_"] == "kube-system"
    unread = record(line, f"{PODS}/odd/app/0.log", FORMAT="json")
    assert "namespace" not in unread
    assert unread["namespace_"] == "kube-system"
