"""The oracle for archives: a real Java, which opens them as Tomcat does."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

from tests.support import peer

PROGRAM = Path(__file__).with_name("Opens.java")


class Java:
    """One Java program, which opens one archive after another."""

    def __init__(self, folder: Path) -> None:
        peer("javac")  # a JRE has none, and cannot run a program from its source
        self._file = folder / "judged.war"
        self._process = subprocess.Popen(
            [peer("java"), "-XX:TieredStopAtLevel=1", str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def verdict(self, data: bytes) -> str:
        """Return `opened N`, with the number of entries, or `refused` and why."""
        self._file.write_bytes(data)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{self._file}\n".encode())
        self._process.stdin.flush()
        answer = self._process.stdout.readline().decode()
        assert answer, "java ended"
        return answer.strip()

    def opens(self, data: bytes) -> bool:
        return self.verdict(data).startswith("opened")
