"""Command blocks of the documents: those that a reader may copy into a shell. Each says how it is known to work.

A comment on the line before the block says so, which no reader of the page sees:

    <!-- not run: it needs a cluster -->
    <!-- run by: tests/infra/test_pause.py -->

A block without such a comment is in the table of `tests/documents/test_command_blocks.py`, or has settings alone, which
that test loads.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCOPE = (
    "docs/*.md",
    "deploy/*.md",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "sidecars/*.md",
    "examples/*.md",
    "infra/*.md",
)
COMMANDS = frozenset({"sh", "bash", "shell", "console", "dockerfile"})
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^`]*)$")
_MARK = re.compile(r"^<!-- (?P<kind>not run|run by): (?P<what>.+) -->$")
_SETTING = re.compile(r"(?:[A-Z][A-Z0-9_]*=\S*|'[^']*'|\s+)+")
# A block without a language is a picture or output, unless a line of it begins as a command does.
_COMMAND_LINE = re.compile(
    r"^(?:\$ |(?:docker|kubectl|helm|make|curl|pip|python3?|git|cc|openssl|cosign) )", re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark` is "not run" or "run by" and `what` the reason or the test; both "" without a mark."""

    file: str
    line: int
    language: str
    text: str
    mark: str
    what: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def key(self) -> tuple[str, str]:
        """The file and the first line, by which the table names the block."""
        return self.file, self.text.splitlines()[0] if self.text else ""

    @property
    def has_settings_alone(self) -> bool:
        """True if the block consists of `NAME=value`, for `--env-file` or a shell."""
        return bool(re.match(r"[A-Z][A-Z0-9_]*=", self.text)) and bool(_SETTING.fullmatch(self.text))

    @property
    def is_command(self) -> bool:
        if self.language:
            return self.language in COMMANDS
        return self.has_settings_alone or bool(_COMMAND_LINE.search(self.text))


def documents() -> list[Path]:
    """Return the Markdown files whose blocks are checked."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *SCOPE]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - git, no input
    return [path for line in sorted(set(listed.stdout.splitlines())) if (path := ROOT / line).is_file()]


def blocks_of(text: str, file: str) -> list[Block]:
    """Return the blocks of a document, with what marks them."""
    found, before = [], ""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if opened := _FENCE.match(line):
            body = []
            for _, inner in lines:
                if inner.strip() == opened["fence"]:
                    break
                body.append(inner.removeprefix(opened["indent"]))
            mark = _MARK.match(before)
            kind, what = (mark["kind"], mark["what"]) if mark else ("", "")
            found.append(Block(file, number, opened["language"].strip(), "\n".join(body), kind, what))
        before = line.strip()
    return found


def all_blocks() -> list[Block]:
    return [block for path in documents() for block in blocks_of(path.read_text(), str(path.relative_to(ROOT)))]
