"""The bill of materials in each image equals what the image has: the lock, dpkg's records, and every file."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tests.images.roots import export
from tests.images.support import NAMES, inspect
from tests.support import ROOT
from tools.names import VERSION, image
from tools.release import sbom

pytestmark = pytest.mark.engine

PAGE = (ROOT / "docs/how-to/verify-an-image.md").read_text()
LOCKED = re.compile(r"^(?P<requirement>[\w.-]+==[^\\\n]+?) *\\?$", re.MULTILINE)


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def root(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(image(name), tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def bill(name: str, root: Path) -> Path:
    return root / f"var/lib/db/sbom/{name}.spdx.json"


def packages(bill: Path, kind: str) -> dict[str, str]:
    """Return the versions of the packages that have a purl of this kind."""
    found: list[dict[str, Any]] = json.loads(bill.read_text())["packages"]
    references = {package["SPDXID"]: json.dumps(package.get("externalRefs", [])) for package in found}
    return {p["name"]: p["versionInfo"] for p in found if f'"pkg:{kind}/' in references[p["SPDXID"]]}


def test_its_python_packages_are_those_of_the_lock(name: str, bill: Path) -> None:
    requirements = map(Requirement, LOCKED.findall((ROOT / f"locks/{name}.txt").read_text()))
    environment = {"python_full_version": "3.13.5", "python_version": "3.13"}
    wanted = [one for one in requirements if one.marker is None or one.marker.evaluate(environment)]
    assert len(wanted) > 1
    assert packages(bill, "pypi") == {canonicalize_name(one.name): str(one.specifier)[2:] for one in wanted}


def test_its_debian_packages_are_those_of_dpkgs_records(root: Path, bill: Path) -> None:
    records = [path.read_text() for path in (root / sbom.RECORDS).iterdir() if path.suffix != ".md5sums"]
    versions = [re.findall(r"^(?:Package|Version): (.+)$", record, re.MULTILINE) for record in records]
    assert len(versions) > 10
    assert packages(bill, "deb") == dict(versions)


def test_every_file_below_usr_belongs_to_one_package(root: Path) -> None:
    owners = sbom.ownership(root)
    assert len(owners) > 1000
    assert {path for path, packages in owners.items() if len(packages) != 1} == set()


def test_it_is_valid_and_of_this_version_and_machine(name: str, bill: Path) -> None:
    assert validate_full_spdx_document(parse_file(str(bill))) == []
    assert json.loads(bill.read_text())["name"] == f"{name}-{VERSION}-{inspect(image(name))['Architecture']}"


def test_it_refers_to_the_bills_of_materials_that_wheels_bring(root: Path, bill: Path) -> None:
    brought = {f"/{path.relative_to(root)}" for path in root.glob(f"{sbom.SITE}/*.dist-info/sboms/*")}
    assert {path for path in brought if f'"{path}"' not in bill.read_text()} == set()
    if bill.name.startswith("logshipper"):
        assert len(brought) == 2


def test_the_page_shows_how_to_get_it(tmp_path: Path) -> None:
    """Run the first command block of the page as it stands there."""
    (first, *_) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    subprocess.run(["bash", "-euo", "pipefail", "-c", first], cwd=tmp_path, check=True, capture_output=True)
    assert json.loads((tmp_path / "adapter.spdx.json").read_text())["spdxVersion"] == "SPDX-2.3"
