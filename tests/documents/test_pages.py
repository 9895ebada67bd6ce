"""What the pages say about settings and manifests holds: names exist, YAML is valid, the Pod of the tutorial works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import import_module
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml

from sidecars.chassis.config.settings import SettingsError, load, specs
from sidecars.chassis.settings_tables import BEGIN, END, links
from tests.support import ROOT, wait_until
from tools.documents.blocks import all_blocks
from tools.documents.links import documents
from tools.names import SIDECARS, image

VARIABLE = re.compile(rf"\b(?:{'|'.join(name.upper() for name in SIDECARS)})_[A-Z0-9_]*[A-Z0-9]\b(?![_*…])")
PAGES = [path for path in documents() if path.is_relative_to(ROOT / "docs") and "decisions" not in path.parts]
# Examples of an error, and variables that Kubernetes injects.
NONE = {"AMBASSADOR_UPSTERAM", "LOGSHIPPER_PATH", "ADAPTER_PORT", "ADAPTER_SERVICE_HOST"}
YAML = [block for block in all_blocks() if block.language == "yaml" and "{{" not in block.text]  # no templates of Helm
README = """In a Pod
See it
What to read
What it promises
Settings
Endpoints
Exit codes
Not yet""".splitlines()
TUTORIAL = yaml.safe_load((ROOT / "docs/tutorial/first-pod.yaml").read_text())


def is_setting(variable: str) -> bool:
    """Return True for a setting, also by file (`_FILE`) and with the name of a group in it."""
    prefix, rest = variable.split("_", 1)
    cls = import_module(f"sidecars.{prefix.lower()}.settings").Settings
    rest = rest.removesuffix("_FILE") if rest.endswith("_FILE") else rest
    return any(
        variable.removesuffix("_FILE") == spec.variable
        or variable == spec.variable
        or (spec.group and rest.endswith(f"_{spec.variable.removeprefix(f'{prefix}_')}"))
        for spec in specs(cls)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_every_setting_that_a_page_names_exists(page: Any) -> None:
    named = set(VARIABLE.findall(page.read_text())) - NONE
    assert [variable for variable in sorted(named) if not is_setting(variable)] == []


@pytest.mark.parametrize("name", SIDECARS)
def test_the_readme_of_a_sidecar_has_the_headings_of_all_and_no_other(name: str) -> None:
    """A stranger who knows one finds his way in each. What needs another chapter has a page in docs."""
    text = (ROOT / "sidecars" / name / "README.md").read_text()
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    assert headings == [name, *README]


@pytest.mark.parametrize("name", SIDECARS)
def test_every_setting_of_a_sidecar_has_a_link_to_the_section_that_explains_it(name: str) -> None:
    cls = import_module(f"sidecars.{name}.settings").Settings
    linked = links(ROOT / "sidecars" / name / "README.md", cls)
    bare = [spec.variable for spec in specs(cls) if spec.variable not in linked]
    assert bare == [], "name it below the heading of its section: <!-- explains: … -->"


@pytest.mark.parametrize("name", SIDECARS)
def test_a_readme_is_short_beside_its_table_of_settings(name: str) -> None:
    """It is what a stranger needs: rules belong into `docs/reference/<sidecar>/`."""
    before, _, rest = (ROOT / "sidecars" / name / "README.md").read_text().partition(BEGIN)
    assert len(f"{before} {rest.partition(END)[2]}".split()) <= 1_600


@pytest.mark.parametrize("block", YAML, ids=lambda block: block.place)
def test_every_block_of_yaml_is_valid_yaml(block: Any) -> None:
    assert list(yaml.safe_load_all(block.text))


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.36"])
def test_the_pod_of_the_tutorial_is_valid(version: str) -> None:
    kubernetes_validate.validate(TUTORIAL, version, strict=True)


def test_the_command_that_checks_the_settings_of_the_tutorial_has_those_of_its_pod() -> None:
    (block,) = [one for one in all_blocks() if one.file == "docs/tutorial/first-pod.md" and "--check" in one.text]
    words = shlex.split(block.text)
    given = dict(words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "--env")
    command = [sys.executable, "-m", "sidecars.logshipper", *words[words.index(image("logshipper")) + 1 :]]
    checked = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    (sidecar,) = TUTORIAL["spec"]["initContainers"]
    assert given.items() == {(one["name"], one["value"]) for one in sidecar["env"] if "value" in one}


def test_the_message_of_the_tutorial_about_its_misspelt_setting_is_that_of_the_program() -> None:
    (sidecar,) = TUTORIAL["spec"]["initContainers"]
    given = {one["name"]: one["value"] for one in sidecar["env"] if "value" in one}
    misspelt = {"LOGSHIPPER_PATH" if name == "LOGSHIPPER_PATHS" else name: value for name, value in given.items()}
    with pytest.raises(SettingsError) as error:
        load(import_module("sidecars.logshipper.settings").Settings, misspelt)
    page = (ROOT / "docs/tutorial/first-pod.md").read_text()
    first, second, _ = str(error.value).splitlines()
    assert f"bad-settings: {first}" in page
    assert f"`{second.strip()}`" in page


def test_the_app_and_the_sidecar_of_the_tutorial_do_what_it_says(start: Any, tmp_path: Any) -> None:
    (sidecar,), (app,) = TUTORIAL["spec"]["initContainers"], TUTORIAL["spec"]["containers"]
    environ = {one["name"]: one.get("value", "first") for one in sidecar["env"]}
    load(import_module("sidecars.logshipper.settings").Settings, environ)
    program = app["args"][0].replace("/logs/", f"{tmp_path}/")
    three = program.replace("itertools.count(1)", "range(1, 4)").replace("time.sleep(1)", "pass")
    assert three != program
    environ["LOGSHIPPER_PATHS"] = f"{tmp_path}/app.log*"
    shipper = start(
        "sidecars.logshipper",
        **environ,
        LOGSHIPPER_STATE_DIR=str(tmp_path / "state"),
        LOGSHIPPER_ADMIN_LISTEN="off",
        LOGSHIPPER_LOG_FORMAT="json",
    )
    subprocess.run([sys.executable, "-c", three], check=True)  # the app, three lines long

    wait_until(lambda: shipper.stdout.count("\n") == 3, "three lines")
    assert shipper.stdout.splitlines() == ["line 1", "line 2", "line 3"]
