"""AWS keys that are here already: in settings, or in the file of profiles that AWS's tools share.

    [default]
    aws_access_key_id = AKIA…
    aws_secret_access_key = …
    aws_session_token = …

They have no end. Files are read anew at each use, since they may be replaced. Profiles that name another way to
credentials (a role, single sign-on, a program) have no meaning here: a sidecar runs no program, and asks one service
for a role, by its own settings.

https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from sidecars.chassis.http.authorization import can_be_a_value
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.chassis.runtime import file_io, scrubber

_NAMES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


class LocalSource(ABC):
    """Keys that no service gives. Whoever uses them asks often."""

    name = ""

    async def fetch(self) -> AwsKeys:
        return self.read()

    @abstractmethod
    def read(self) -> AwsKeys:
        """Return the keys of now. Raises NoCredentials if a file cannot be read."""


class ProfileSource(LocalSource):
    """One profile of the file of AWS_SHARED_CREDENTIALS_FILE."""

    name = "AWS_SHARED_CREDENTIALS_FILE"

    def __init__(self, path: Path, profile: str) -> None:
        self._path, self._profile = path, profile

    def read(self) -> AwsKeys:
        try:
            text = file_io.read_text(str(self._path))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise NoCredentials(f"the file of {self.name} cannot be read: {why} ({self._path})") from None
        found = section(text, self._profile)
        access, secret, token = (found.get(name, "") for name in _NAMES)
        if not access or not secret or not all(map(can_be_a_value, (access, secret, token))):
            raise NoCredentials(f"the file of {self.name} has no keys in its profile {self._profile} (AWS_PROFILE)")
        scrubber.hide(self, [text for text in (secret, token) if text])
        return AwsKeys(access, secret, token or None)


def section(text: str, profile: str) -> dict[str, str]:
    """Return the values of a profile by their names in lower case; an empty dictionary if there is none. Pure.

    Lines that are indented belong to a value with parts, which no key is.
    """
    found: dict[str, str] = {}
    is_inside = False
    for line in text.splitlines():
        if line.startswith("["):
            name = line.partition("]")[0].removeprefix("[").strip()
            is_inside = name.removeprefix("profile ").strip(" \t\"'") == profile
        elif is_inside and line[:1] not in ("#", ";", " ", "\t", ""):
            key, equals, value = line.partition("=")
            if equals:
                found[key.strip().lower()] = value.strip()
    return found
