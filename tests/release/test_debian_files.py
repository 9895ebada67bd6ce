"""Debian packages are unpacked without being installed, and each copied file is recorded as its package's."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.support import peer
from tools.release import debian_files


def deb(folder: Path, name: str, files: dict[str, str]) -> Path:
    """Build a package of a machine that this one is not, with a script that would fail."""
    tree = folder / name
    files = {**files, f"usr/share/doc/{name}/copyright": f"licence of {name}"}
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    control = tree / "DEBIAN"
    control.mkdir()
    fields = f"Package: {name}\nVersion: 1:2-3\nArchitecture: riscv64\nMaintainer: X <x@x.example>\nDescription: x\n"
    (control / "control").write_text(fields)
    (control / "preinst").write_text("#!/bin/sh\nexit 1\n")
    (control / "preinst").chmod(0o755)
    sums = "".join(f"{hashlib.md5(text.encode()).hexdigest()}  {path}\n" for path, text in files.items())
    (control / "md5sums").write_text(sums)
    made = folder / f"{name}.deb"
    command = [peer("dpkg-deb"), "--root-owner-group", "--build", str(tree), str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two packages, unpacked into one root file system."""
    debs = [deb(tmp_path, "one", {"usr/lib/one.so": "1", "etc/one": "c"}), deb(tmp_path, "two", {"usr/bin/two": "2"})]
    debian_files.unpack(tmp_path / "root", debs)
    return tmp_path / "root"


def copied(root: Path, image: Path, *paths: str) -> Path:
    for path in paths:
        (image / path).parent.mkdir(parents=True, exist_ok=True)
        (image / path).write_bytes((root / path).read_bytes())
    return image


def test_no_script_of_a_package_runs_and_its_machine_does_not_matter(root: Path) -> None:
    assert (root / "usr/lib/one.so").read_text() == "1"
    assert (root / debian_files.INFO / "one/preinst").exists()


def test_the_packages_whose_files_were_copied_are_recorded_and_no_others(root: Path, tmp_path: Path) -> None:
    image = copied(root, tmp_path / "image", "usr/lib/one.so", "etc/one")
    debian_files.record(root, image, [])
    records = image / debian_files.RECORDS
    assert {path.name for path in records.iterdir()} == {"one", "one.md5sums"}
    assert (records / "one").read_text().startswith("Package: one\nStatus: install ok installed\nVersion: 1:2-3\n")
    lines = [line.split() for line in (records / "one.md5sums").read_text().splitlines()]
    sums = {path: digest for digest, path in lines}
    assert set(sums) == {"etc/one", "usr/lib/one.so", "usr/share/doc/one/copyright"}
    assert sums["usr/lib/one.so"] == hashlib.md5(b"1").hexdigest()
    assert (image / "usr/share/doc/one/copyright").read_text() == "licence of one"


def test_a_package_is_recorded_by_name_if_what_it_made_was_copied(root: Path, tmp_path: Path) -> None:
    debian_files.record(root, copied(root, tmp_path / "image", "usr/lib/one.so"), ["two"])
    assert (tmp_path / "image" / debian_files.RECORDS / "two").exists()


def test_a_file_that_was_changed_on_the_way_is_refused(root: Path, tmp_path: Path) -> None:
    image = copied(root, tmp_path / "image", "usr/lib/one.so")
    (image / "usr/lib/one.so").write_text("changed")
    with pytest.raises(ValueError, match=r"usr/lib/one.so is not the file of one"):
        debian_files.record(root, image, [])


def test_a_file_of_two_packages_is_refused(root: Path, tmp_path: Path) -> None:
    debian_files.unpack(root, [deb(tmp_path, "three", {"usr/bin/two": "3"})])
    with pytest.raises(ValueError, match="usr/bin/two is in three and in two"):
        debian_files.owners(root)


def test_a_path_below_lib_is_the_one_below_usr() -> None:
    assert debian_files.merged("./lib64/ld.so") == "usr/lib64/ld.so"
    assert debian_files.merged("./usr/lib/x") == "usr/lib/x"
    assert debian_files.merged("./lib") == "lib"
