"""The libraries that ELF files need are found as the loader finds them, and one that is missing is named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import peer
from tools.release import shared_libraries

FOLDER = "usr/lib/x86_64-linux-gnu"


def library(root: Path, path: str, *needs: Path, search: str = "") -> Path:
    """Compile a library that needs the others, into the root file system."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    options = [f"-Wl,-rpath,{search}"] if search else []
    command = [peer("gcc"), "-shared", "-nostdlib", "-x", "c", "/dev/null", "-x", "none", "-Wl,--no-as-needed"]
    subprocess.run([*command, *options, f"-Wl,-soname,{target.name}", *needs, "-o", target], check=True)
    return target


def test_the_libraries_of_libraries_are_found_in_debians_folders(tmp_path: Path) -> None:
    deep = library(tmp_path, f"{FOLDER}/libdeep.so.1")
    near = library(tmp_path, f"{FOLDER}/libnear.so.1", deep)
    program = library(tmp_path, "opt/program.so", near)
    assert shared_libraries.closure(tmp_path, [program]) == ({near, deep}, set())


def test_a_library_beside_the_file_that_asks_is_found_by_its_runpath(tmp_path: Path) -> None:
    bundled = library(tmp_path, "opt/package.libs/libbundled.so.1")
    program = library(tmp_path, "opt/package/module.so", bundled, search="$ORIGIN/../package.libs")
    libraries, missing = shared_libraries.closure(tmp_path, [program])
    assert {path.resolve() for path in libraries} == {bundled}
    assert missing == set()


def test_a_library_that_is_not_there_is_named_with_the_file_that_asks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = library(tmp_path, f"{FOLDER}/libgone.so.1")
    library(tmp_path, "opt/program.so", gone)
    gone.unlink()
    assert shared_libraries.main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "/opt/program.so needs libgone.so.1, which is not there\n"


def test_the_loader_of_a_program_counts_as_a_library_and_the_link_lib_is_followed(tmp_path: Path) -> None:
    program = tmp_path / "usr/bin/program"
    program.parent.mkdir(parents=True)
    shutil.copy("/usr/bin/true", program)
    demand = shared_libraries.demands([program])[program]
    assert demand.loader is not None
    assert demand.loader.startswith("/lib")
    assert shared_libraries.inside(tmp_path, "/lib64/ld.so") == tmp_path / "usr/lib64/ld.so"
    _, missing = shared_libraries.closure(tmp_path, [program])
    assert f"/usr/bin/program needs {demand.loader}, which is not there" in missing


def test_a_folder_without_elf_files_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    assert shared_libraries.main(["check", str(tmp_path)]) == 1
