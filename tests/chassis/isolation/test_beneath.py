"""`beneath.Root`: the same table for openat2 and for the chain of descriptors."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecars.chassis.isolation import openat2
from sidecars.chassis.isolation.beneath import LeavesRoot, NotOurFile, Root
from tests.support import own_descriptors


@pytest.fixture(params=["openat2", "chain"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    if request.param == "chain":
        monkeypatch.setattr(openat2, "probed", ["ENOSYS"])
    else:
        assert openat2.absence() == "", "this kernel, or the seccomp profile of this container, has no openat2"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "a" / "b").mkdir(parents=True)
    (inside / "a" / "b" / "file").write_text("content")
    (inside / "link").symlink_to(tmp_path / "outside" / "secret")
    (inside / "relative").symlink_to("a/b/file")
    (inside / "a" / "up").symlink_to("../../outside")
    (inside / "dangling").symlink_to("nowhere")
    with Root.open(inside) as opened:
        yield opened


def outside(root: Root) -> Path:
    return Path(root.path).parent / "outside"


def test_a_file_is_read_by_its_name_below_the_root(root: Root) -> None:
    assert root.read_small("a/b/file", 100) == b"content"


OPERATIONS: dict[str, Callable[[Root, str], object]] = {
    "open_file": lambda root, name: root.open_file(name),
    "open_own": lambda root, name: root.open_own(name, os.O_RDWR),
    "open_own that creates": lambda root, name: root.open_own(name, os.O_RDWR | os.O_CREAT),
    "read_small": lambda root, name: root.read_small(name, 100),
    "subdirectory": lambda root, name: root.subdirectory(name),
    "subdirectory that creates": lambda root, name: root.subdirectory(name, create=True),
    "scan": lambda root, name: list(root.scan(name)),
}
LAST_IS_FREE: dict[str, Callable[[Root, str], object]] = {
    "create": lambda root, name: root.create(name),
    "make_directory": lambda root, name: root.make_directory(name),
    "status": lambda root, name: root.status(name),
    "read_link": lambda root, name: root.read_link(name),
    "remove": lambda root, name: root.remove(name),
    "remove_directory": lambda root, name: root.remove_directory(name),
    "rename": lambda root, name: root.rename(name, "new"),
    "rename to": lambda root, name: root.rename("a/b/file", name),
    "link": lambda root, name: root.link(name, "new"),
    "link to": lambda root, name: root.link("a/b/file", name),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", ["link", "relative", "dangling", "a/up"])
def test_no_operation_goes_through_a_link_at_the_end(root: Root, operation: str, name: str) -> None:
    with pytest.raises(LeavesRoot, match="links are not followed"):
        OPERATIONS[operation](root, name)


@pytest.mark.parametrize("operation", OPERATIONS | LAST_IS_FREE)
def test_no_operation_goes_through_a_link_on_the_way(root: Root, operation: str) -> None:
    before = outside(root).stat().st_mtime_ns
    with pytest.raises(LeavesRoot, match="links are not followed") as caught:
        (OPERATIONS | LAST_IS_FREE)[operation](root, "a/up/secret")
    assert caught.value.errno == errno.ELOOP
    assert outside(root).stat().st_mtime_ns == before
    assert (outside(root) / "secret").read_text() == "secret"


@pytest.mark.parametrize("operation", OPERATIONS | LAST_IS_FREE)
@pytest.mark.parametrize(
    "name", ["../outside/secret", "a/../../outside/secret", "..", "a/..", "/etc/passwd", "a//b", "./a", "a\0b"]
)
def test_no_name_leads_out_of_the_root(root: Root, operation: str, name: str) -> None:
    with pytest.raises(LeavesRoot, match="leads out"):
        (OPERATIONS | LAST_IS_FREE)[operation](root, name)


def test_an_error_names_the_full_path(root: Root) -> None:
    for operation in (root.open_file, root.remove, root.status, root.subdirectory, root.read_link):
        with pytest.raises(FileNotFoundError) as caught:
            operation("a/b/missing")
        assert caught.value.filename == f"{root.path}/a/b/missing"


def test_a_link_is_renamed_removed_and_shown_as_itself(root: Root) -> None:
    assert stat.S_ISLNK(root.status("link").st_mode)
    assert root.read_link("relative") == "a/b/file"
    root.rename("link", "a/moved")
    root.remove("a/moved")
    assert (outside(root) / "secret").exists()


def test_a_file_on_the_way_is_no_directory(root: Root) -> None:
    with pytest.raises(NotADirectoryError):
        root.open_file("a/b/file/below")


@pytest.mark.parametrize(("name", "kind"), [("fifo", "a pipe"), ("a", "a directory")])
def test_only_a_regular_file_is_opened_and_no_fifo_is_waited_for(root: Root, name: str, kind: str) -> None:
    os.mkfifo(f"{root.path}/fifo")
    with pytest.raises(OSError, match=f"it is {kind}"):
        os.close(root.open_file(name))


def test_a_file_that_we_write_has_one_name_and_is_ours(root: Root) -> None:
    os.link(outside(root) / "secret", f"{root.path}/hard")
    with pytest.raises(NotOurFile, match="second name"):
        root.open_own("hard", os.O_RDWR)
    os.mkfifo(f"{root.path}/fifo")
    with pytest.raises(NotOurFile, match="it is a pipe"):
        root.open_own("fifo", os.O_RDWR)


def test_a_file_of_another_user_is_not_written(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(NotOurFile, match="belongs to user"):
        root.open_own("a/b/file", os.O_RDWR)


def test_a_file_is_never_emptied_before_it_is_checked(root: Root) -> None:
    with pytest.raises(ValueError, match="O_TRUNC"):
        root.open_own("a/b/file", os.O_RDWR | os.O_TRUNC)


def test_a_new_file_replaces_nothing(root: Root) -> None:
    with pytest.raises(FileExistsError):
        root.create("dangling")
    os.close(root.create("a/new", 0o640))
    assert stat.S_IMODE(root.status("a/new").st_mode) & ~0o640 == 0


def test_a_read_has_a_limit(root: Root) -> None:
    assert root.read_small("a/b/file", 7) == b"content"
    with pytest.raises(OSError, match="more than 6 bytes"):
        root.read_small("a/b/file", 6)


def test_a_directory_is_listed_without_following_links(root: Root) -> None:
    kinds = {entry.name: entry.is_dir(follow_symlinks=False) for entry in root.scan("a")}
    assert kinds == {"b": True, "up": False}
    assert {entry.name for entry in root.scan()} == {"a", "link", "relative", "dangling"}


def test_a_subdirectory_is_a_root_of_its_own(root: Root) -> None:
    with root.subdirectory("a/new", create=True) as new, root.subdirectory("a/b") as below:
        below.rename("file", "renamed", new)
        new.link("renamed", "second")
        new.sync()
        assert root.status("a/new/renamed").st_nlink == 2
        assert new.path == f"{root.path}/a/new"
    with pytest.raises(NotADirectoryError), root.subdirectory("a/new/second", create=True):
        pass


def test_no_descriptor_is_left_open(root: Root) -> None:
    before = own_descriptors()
    for operation in (OPERATIONS | LAST_IS_FREE).values():
        for name in ("a/up/x", "../x", "a/b/missing/x"):
            with pytest.raises(OSError):  # noqa: PT011 - any: only the descriptors matter
                operation(root, name)
    assert own_descriptors() <= before


def test_a_name_that_is_not_utf_8_is_a_name(root: Root) -> None:
    name = os.fsdecode(b"caf\xe9")
    os.close(root.create(name))
    assert name in {entry.name for entry in root.scan()}
    os.close(root.open_file(name))
