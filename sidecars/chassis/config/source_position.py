"""The position of a mistake in a text of the user, as a message shows it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from sidecars.chassis.runtime.printable import printable

_WIDTH = 100  # characters of a long line that a message shows


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Line and column, both from 1. `excerpt` is the line of the text, with a caret under the column in the next."""

    line: int
    column: int
    excerpt: str

    def message(self, reason: str) -> str:
        """Return the position with the reason, and the excerpt below."""
        return f"line {self.line}, column {self.column}: {printable(reason)}\n{self.excerpt}"


def position_of(text: str, offset: int) -> SourcePosition:
    """Return the position of the offset. The excerpt of a long line is the part around it, in printable characters."""
    begin = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    source = text[begin : end if end >= 0 else None].replace("\t", " ")
    caret = column = offset - begin
    if len(source) > _WIDTH:
        first = max(0, caret - _WIDTH // 2)
        last = first + _WIDTH
        source = ("…" if first else "") + source[first:last] + ("…" if last < len(source) else "")
        caret = caret - first + bool(first)
    before, behind = printable(source[:caret]), printable(source[caret:])
    return SourcePosition(text.count("\n", 0, offset) + 1, column + 1, f"  {before}{behind}\n  {' ' * len(before)}^")
