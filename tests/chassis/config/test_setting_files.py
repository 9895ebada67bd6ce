"""Each setting of each sidecar by a file (`NAME_FILE`) that gives none: a sentence with its path, and no waiting."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import pytest

from sidecars.chassis.config.settings import SettingsError, load, specs
from sidecars.chassis.runtime.file_io import read_text
from tests.hostile_files import NO_SMALL_FILES, unblocked
from tests.support import ROOT

NAMES = sorted(path.parent.name for path in (ROOT / "sidecars").glob("*/__main__.py"))


# Its value, a path of a URL, is a secret: it could stand in the place of the file's name.
HIDDEN = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI_FILE"


def nothing(_path: Path) -> None:
    """Make no file."""


FAULTS = {
    **{fault: (make, f"the file cannot be read: {reason}") for fault, (make, reason) in NO_SMALL_FILES.items()},
    "absent": (nothing, "the file cannot be read: No such file or directory"),
    "empty": (Path.touch, "the file is empty"),
    "no text": (lambda path: path.write_bytes(b"\xff\n"), "the file cannot be read: it is not UTF-8 text"),
}


def problems(name: str, path: str, read_file: object = read_text) -> dict[str, str]:
    """Return the sentence about each variable of a sidecar whose settings all come by this file."""
    cls = import_module(f"sidecars.{name}.settings").Settings
    known = {spec.variable for spec in specs(cls)}
    by_file = [f"{variable}_FILE" for variable in known if not variable.islower() and f"{variable}_FILE" not in known]
    # AUTH_FILE is among them, so that the variables of clouds are not for the app alone.
    with pytest.raises(SettingsError) as caught:
        load(cls, dict.fromkeys(by_file, path), read_file=read_file)  # type: ignore[arg-type] # one that fails
    told = {sentence.partition("=")[0]: sentence for sentence in caught.value.problems}
    assert told.keys() == set(by_file)
    assert len(told) == len(caught.value.problems)
    return told


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_gives_no_setting_is_one_sentence_with_its_path(tmp_path: Path, name: str, fault: str) -> None:
    make, reason = FAULTS[fault]
    make(tmp_path / "file")
    told = unblocked(lambda: problems(name, f"{tmp_path}/file"))
    for variable, sentence in told.items():
        path = "***" if variable == HIDDEN else f"{tmp_path}/file"
        assert re.fullmatch(f"{re.escape(f'{variable}={path}')}: {reason}", sentence)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_may_not_be_read_is_one_sentence_with_its_path(name: str) -> None:
    """The tests may run as root, who may read all: so the read fails as it would for another user."""

    def denied(_filename: str) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    for variable, sentence in problems(name, "/run/secrets/file", denied).items():
        path = "***" if variable == HIDDEN else "/run/secrets/file"
        assert sentence == f"{variable}={path}: the file cannot be read: Permission denied"
