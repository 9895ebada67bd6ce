"""The bill of materials is valid SPDX, names every package once, and is refused if a file belongs to none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tools import names
from tools.release import sbom

VERSION_FILE = 'x = 1\n__version__ = "1.2.3"\n'
PYTHON = "usr/lib/python3.13"
FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="13"\n',
    f"{sbom.RECORDS}/libc6": "Package: libc6\nVersion: 2.41-12+deb13u5\nSource: glibc (2.41-12)\nArchitecture: arm64\n",
    f"{sbom.RECORDS}/libc6.md5sums": "0  usr/lib/libc.so.6\n",
    f"{sbom.RECORDS}/python": "Package: python\nVersion: 3.13\nArchitecture: all\nHomepage: https://python.example/\n",
    f"{sbom.RECORDS}/python.md5sums": f"0  {PYTHON}/os.py\n",
    "usr/lib/libc.so.6": "",
    f"{PYTHON}/os.py": "",
    f"{PYTHON}/__pycache__/os.cpython-313.pyc": "",
    f"{sbom.SITE}/fast_json/__init__.py": "",
    f"{sbom.SITE}/fast_json/__pycache__/__init__.cpython-313.pyc": "",
    f"{sbom.SITE}/fast_json-3.0.dist-info/METADATA": "Name: Fast_JSON\nVersion: 3.0\nLicense-Expression: MIT\n\nText\n",
    f"{sbom.SITE}/fast_json-3.0.dist-info/sboms/rust.cyclonedx.json": "{}",
    f"{sbom.SITE}/fast_json-3.0.dist-info/RECORD": "".join(
        f"{path},,\n"
        for path in (
            "fast_json/__init__.py",
            "fast_json-3.0.dist-info/METADATA",
            "fast_json-3.0.dist-info/RECORD",
            "fast_json-3.0.dist-info/sboms/rust.cyclonedx.json",
        )
    ),
    f"{sbom.SITE}/sidecars/chassis/__init__.py": VERSION_FILE,
    "usr/local/bin/sidecar": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def made(root: Path) -> dict[str, Any]:
    return sbom.document(root, "adapter", "arm64", "1.2.3")


def locators(document: dict[str, Any]) -> set[str]:
    return {
        reference["referenceLocator"]
        for package in document["packages"]
        for reference in package.get("externalRefs", [])
    }


def test_a_second_implementation_finds_the_document_valid(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "adapter.spdx.json"
    file.write_text(json.dumps(made(root)))
    assert validate_full_spdx_document(parse_file(str(file))) == []


def test_each_package_has_the_name_by_which_scanners_know_it(root: Path) -> None:
    assert locators(made(root)) == {
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u5?arch=arm64&distro=debian-13&upstream=glibc",
        "pkg:deb/debian/python@3.13?arch=all&distro=debian-13&upstream=python",
        "pkg:pypi/fast-json@3.0",
        f"/{sbom.SITE}/fast_json-3.0.dist-info/sboms/rust.cyclonedx.json",
        "pkg:generic/sidecars@1.2.3",
    }


def test_the_image_contains_each_package_and_the_document_describes_the_image(root: Path) -> None:
    document = made(root)
    related = {(line["relationshipType"], line["relatedSpdxElement"]) for line in document["relationships"]}
    parts = {package["SPDXID"] for package in document["packages"]} - {"SPDXRef-Image"}
    assert related == {("DESCRIBES", "SPDXRef-Image"), *(("CONTAINS", part) for part in parts)}
    assert len(parts) == 4


def test_a_file_below_usr_without_an_owner_is_refused_by_name(root: Path) -> None:
    (root / "usr/bin").mkdir()
    (root / "usr/bin/stray").write_text("")
    with pytest.raises(ValueError, match=r"^/usr/bin/stray belongs to no package$"):
        made(root)


def test_bytecode_without_its_source_is_refused(root: Path) -> None:
    (root / PYTHON / "os.py").rename(root / PYTHON / "gone.py")
    with pytest.raises(ValueError, match=f"/{PYTHON}/gone.py belongs to no package"):
        made(root)


def test_a_file_of_two_packages_is_refused(root: Path) -> None:
    record = root / sbom.RECORDS / "libc6.md5sums"
    record.write_text(f"{record.read_text()}0  {PYTHON}/os.py\n")
    with pytest.raises(ValueError, match=f"/{PYTHON}/os.py belongs to libc6 and python"):
        made(root)


def test_bytecode_of_a_module_with_two_names_belongs_to_the_file_behind_the_link(root: Path) -> None:
    (root / PYTHON / "posix_os.py").symlink_to("os.py")
    (root / PYTHON / "__pycache__/posix_os.cpython-313.pyc").write_text("")
    assert made(root)["name"] == "adapter-1.2.3-arm64"


def test_equal_files_give_equal_bytes_and_another_version_gives_another_namespace(root: Path) -> None:
    assert made(root) == made(root)
    before = made(root)["documentNamespace"]
    record = root / sbom.RECORDS / "libc6"
    record.write_text(record.read_text().replace("deb13u5", "deb13u6"))
    assert made(root)["documentNamespace"] != before


def test_the_namespace_is_below_our_own_name() -> None:
    assert sbom.NAMESPACE.startswith(f"https://{names.LABEL_PREFIX}")


def test_the_version_is_that_of_the_code(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"{sbom.SITE}/sidecars/chassis/__init__.py"
    assert sbom.main([str(root), "adapter", "arm64", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["packages"][0]["versionInfo"] == "1.2.3"
    file.write_text("")
    with pytest.raises(ValueError, match="has no __version__"):
        sbom.version_of(file)
