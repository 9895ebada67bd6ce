"""The place of a mistake in a text that a user has written, as a message shows it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from sidecars.chassis.runtime.printable import printable

_WIDTH = 100  # characters of a long line that are shown around a mistake


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Line and column, both from 1, and the text's line with a caret under the column, as two lines."""

    line: int
    column: int
    shown: str

    def message(self, why: str) -> str:
        """Return the sentence, and the two lines that show the place."""
        return f"line {self.line}, column {self.column}: {printable(why)}\n{self.shown}"


def position_of(text: str, offset: int) -> SourcePosition:
    """Return the place of that offset. Of a long line the part around it is shown, in characters that are printed."""
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
