r"""Joins stack traces, by the rules of `multiline_kinds`.

    lines ─► blocks ─► events
      a regex joins what       the rules join blocks
      belongs to the line      to one event
      before it in any case

A block is a line with the lines after it that go on with any event: indented ones, `Caused by: …` and so on. A block is
*framed* if it has a line of a stack. One pass over the blocks decides for each whether it is joined to the one before:

1. The block before it expects a line: the end of a traceback, of which the line of the exception is missing.
2. It begins a trace (the name of an exception's class), and the event before it is not framed: it is a log line.
3. It goes on with a framed event: a call of a Go program, the cause of a Ruby exception.
4. It is a further line of the message of a Python exception, in the event of a log line.
5. It is framed, and one of the 20 lines before it mentions an exception: the lines between are the exception's message.
   This rule looks ahead, so a line that mentions an exception leaves the next lines undecided, up to 20 of them. A
   log line, or the beginning of another trace, ends that.

No line of a logger (`LOG_LINE`) is joined by the rules 2 to 5. So the lines of loggers are skipped: those with the date
of the day before anything is looked at (`dated_lines`). In a text in which no line begins as one of a trace does,
nothing is joined.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, compress, count
from typing import cast

from sidecars.logshipper.transform.framing import dated_lines
from sidecars.logshipper.transform.framing.dated_lines import DatedLines
from sidecars.logshipper.transform.framing.event_limit import Split, last_piece, limited
from sidecars.logshipper.transform.framing.line_spans import Span, joined, lines_of, merged
from sidecars.logshipper.transform.framing.multiline_kinds import LOG_LINE, LOG_LINE_PATTERN, Kind

_MESSAGE_LINES = 20  # of an exception's message, beside the first
_NAME = r"(?:[A-Za-z_$][\w$+]*+\.)*+[A-Za-z_$][\w$+]*+"  # possessive: it goes back nowhere
_AFTER_NAME = r"(?:: |:?\r?(?:\n|\Z)| \[)"
_CLASS = re.compile(rf"({_NAME}){_AFTER_NAME}", re.ASCII).match
_WORDS = ("Exception", "Error", "Throwable")
_CAMEL = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+", re.ASCII).fullmatch
_LIKE_A_DATE = "2026-01-31T10:15:in 'x'"  # a line of a Ruby program of that name
_FIRST_LINES = 64  # lines at the end of a chunk that are looked at first for its boundary

_TRACE, _STRONG, _WEAK = 3, 2, 1  # the first line of a traceback; the name of an exception; that of any class


class TraceSplitter:
    """Finds the events of one kind, or of several."""

    def __init__(self, kind: Kind, limit: int) -> None:
        self._limit = limit
        end = rf"\n(?!{kind.continues})"
        self._texts = re.compile(end, re.ASCII).split
        # The group has the first character of a line that no logger writes, and is not there for a logger's line.
        marked = rf"{end}(?:(?={LOG_LINE_PATTERN})|(?=([^\n]|\n)))"
        self._marked_texts = re.compile(marked, re.ASCII).split
        self._bytes = re.compile(end.encode(), re.ASCII).split
        self._rules = _Rules(kind)
        self._dated = DatedLines(" " if re.match(kind.continues, _LIKE_A_DATE, re.ASCII) else " T")

    def split(self, text: str, data: bytes) -> Split:
        date = self._dated.date(text)
        if date is not None:
            return limited(self._of_dated(lines_of(text, data), date), data, self._limit)
        if not self._rules.may_join(text):
            return limited(lines_of(text, data), data, self._limit)
        blocks, counts, spans = self._joined(text)
        sizes = [len(block) + 1 for block in (blocks if text.isascii() else self._bytes(data))]
        several = counts if len(counts) < sum(counts) else None
        return limited(joined(Split(blocks, sizes, several), spans), data, self._limit)

    def _of_dated(self, lines: Split, date: str) -> Split:
        """Return the events of lines, most of which begin with the date. Only the others are looked at."""
        ranges = dated_lines.ranges(lines.events, date)
        others = "\n".join(chain.from_iterable(lines.events[begin:end] for begin, end in ranges))
        if not (ranges and self._rules.may_join(others)):
            return lines
        _, counts, spans = self._joined(others)
        several: list[Span] = []
        of_events = iter(merged(counts, spans, sum))
        for begin, end in ranges:  # each begins with an event
            at = begin
            while at < end:
                first, at = at, at + next(of_events)
                if at > first + 1:
                    several.append((first, at))
        return joined(lines, several)

    def _joined(self, text: str) -> tuple[list[str], list[int], list[Span]]:
        """Return the blocks of a text, the lines of each, and the spans of those that are one event."""
        blocks, doubtful = self._blocks(text)
        counts = [1] * len(blocks)
        for index in doubtful:
            counts[index] += blocks[index].count("\n")
        joins, at = _Joining(self._rules, blocks, doubtful).joined, 0
        spans: list[Span] = []
        while (first := joins.find(1, at) - 1) >= 0:
            at = joins.find(0, first + 1)
            at = len(blocks) if at < 0 else at
            spans.append((first, at))
        return blocks, counts, spans

    def _blocks(self, text: str) -> tuple[list[str], list[int]]:
        """Return the blocks of a text, and the numbers of those that are not a single line of a logger."""
        pieces: list[str | None] = self._marked_texts(text)
        blocks = cast("list[str]", pieces[::2])
        others = compress(count(1), pieces[1::2])
        several_lines = [number for number, block in enumerate(blocks) if "\n" in block]
        return blocks, sorted({*([] if LOG_LINE(blocks[0]) else [0]), *others, *several_lines})

    def boundary(self, block: bytes) -> int:
        """Return where the last event begins whose beginning is certain. Looks at the end of the chunk first."""
        last = self._dated.last(block)
        if last is not None:
            return last_piece(block, last, len(block), self._limit)
        lines = _FIRST_LINES
        while True:
            begin = _last_lines(block, lines)
            text = block[begin:].removesuffix(b"\n").decode("utf-8", "replace")
            before = self._lines_before_last(text, whole=not begin)
            if before is not None:
                return last_piece(block, _after_lines(block, begin, before), len(block), self._limit)
            lines *= 4

    def _lines_before_last(self, text: str, *, whole: bool) -> int | None:
        """Return the lines before the last event whose beginning is certain; None if no beginning is.

        `whole`: True if an event begins with the text.
        """
        blocks: list[str] = self._texts(text)
        first, certain = (0, 0) if whole else self._sure(blocks, text)
        if first is None:
            return None
        known = blocks[first:]
        doubtful = [index for index, block in enumerate(known) if "\n" in block or not LOG_LINE(block)]
        found = first + _Joining(self._rules, known, doubtful).last_certain()
        return None if found < certain else sum(block.count("\n") + 1 for block in blocks[:found])

    def _sure(self, blocks: Sequence[str], text: str) -> tuple[int | None, int]:
        """Return the block at which one may begin, whatever stands before the text, and the first that is right then.

        The first block may be the rest of one. Where no rule is of use, no block is joined, apart from those whose
        message may have begun before the text.
        """
        for index in range(2, len(blocks)):
            if LOG_LINE(blocks[index]) and not self._rules.expects(blocks[index - 1]):
                return index, index
        if len(blocks) == 1 or self._rules.may_join(text):
            return None, 0
        return 1, _MESSAGE_LINES + 2


class _Rules:
    """The rules of a kind, applied to a block."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._heads = re.compile(kind.heads, re.ASCII).match if kind.heads else None
        self._goes_on = re.compile(kind.goes_on, re.ASCII).match if kind.goes_on else None
        self._expects = re.compile(kind.expects, re.ASCII).match if kind.expects else None
        self._last_line = re.compile(kind.last_line, re.ASCII).match if kind.last_line else None
        self._class = _CLASS if kind.classes else None
        begins = [kind.continues, kind.heads, kind.begins, _NAME + _AFTER_NAME if kind.classes else ""]
        self._begins = re.compile("|".join(filter(None, begins)), re.ASCII).match
        self._line_begins = re.compile(rf"\n(?:{'|'.join(filter(None, begins))})", re.ASCII).search
        self.has_messages = kind.messages

    def may_join(self, text: str) -> bool:
        """False if no two lines of the text can be joined."""
        return self._line_begins(text) is not None or self._begins(text) is not None

    def head(self, block: str) -> int:
        """Return how sure it is that the block begins with the first line of a trace; 0 if it does not."""
        if self._heads and self._heads(block):
            return _TRACE
        found = self._class(block) if self._class else None
        if found is None:
            return 0
        name = found[1]
        if any(word in name for word in _WORDS):
            return _STRONG
        is_class = name.rpartition(".")[2][0].isupper() and ("." in name or "$" in name)
        return _WEAK if is_class or _CAMEL(name) else 0

    def expects(self, block: str) -> bool:
        """True if the next line belongs to the block."""
        if self._expects and self._expects(block):
            return True
        if self._last_line is None:
            return False
        text = block.rstrip()
        return self._last_line(text, text.rfind("\n") + 1) is not None

    def goes_on(self, block: str) -> bool:
        """True if the block goes on with a framed event."""
        return self._goes_on is not None and self._goes_on(block) is not None

    def may_go_on(self, block: str) -> bool:
        """True if the block may go on with a framed event, depending on its second line."""
        return self._goes_on is not None and "\n" not in block and block.rstrip("\r").endswith(")")

    def is_framed(self, block: str) -> bool:
        """True if the block has a line of a stack."""
        first = block.find("\n")
        if first >= 0 and any(block.find(text, first) >= 0 for text in self._kind.frames):
            return True
        return self._heads is not None and self._heads(block) is not None

    def mentions(self, text: str) -> bool:
        """True if the lines after the text may be those of a message."""
        return any(word in text for word in self._kind.mentions)

    def opens(self, block: str) -> bool:
        """True if the lines after the block may be those of a message, which it begins behind its last frame."""
        first = block.find("\n")
        frame = max([block.rfind(text, first) for text in self._kind.frames], default=-1) if first >= 0 else -1
        if frame < 0:
            return self.mentions(block) or (not LOG_LINE(block) and self.head(block) == _WEAK)
        end = block.find("\n", frame + 1)
        return end >= 0 and self.mentions(block[end:])

    def is_message(self, block: str) -> bool:
        """True if the block may be a line of a message, even one with the first frame after it."""
        return not (LOG_LINE(block) or self.head(block))


class _Joining:
    """Joins the blocks of a text that begins with an event.

    `doubtful`: the numbers of the blocks that are not a single line of a logger. Only these, and blocks that are
    expected, may be joined.
    """

    def __init__(self, rules: _Rules, blocks: Sequence[str], doubtful: Sequence[int]) -> None:
        self.joined = bytearray(len(blocks))  # 1: the block is joined to the one before it
        self._rules = rules
        self._blocks = blocks
        self._last = -1  # the last block that was looked at
        self._begin = 0  # the first block of its event
        self._framed = False  # whether its event is framed
        self._message = 0  # lines that the message of a Python exception may still have
        self._in_doubt = False  # True if the next lines of the last block may join it to the one before
        for index in doubtful:
            if index > self._last:
                self._take_with_expected(index)

    def last_certain(self) -> int:
        """Return the last block that begins an event, before any further text."""
        end = len(self._blocks)
        last = end - 1
        if last and self._in_doubt and self._last == self._begin == last:
            last -= 1
        openers = [self._opener(end)]
        if last >= 0 and self._is_in_a_message(self._blocks[-1]):
            openers.append(self._opener(end - 1))
        for opener in openers:
            if opener is not None:
                last = min(last, opener - (self._rules.head(self._blocks[opener]) == _WEAK))
        return max(0, self.joined.rfind(0, 0, last + 1))

    def _take_with_expected(self, index: int) -> None:
        """Take a block, and those after it that are expected."""
        self._take(index, self._blocks[index])
        while index + 1 < len(self._blocks) and self._rules.expects(self._blocks[index]):
            index += 1
            self._take(index, self._blocks[index])

    def _take(self, index: int, block: str) -> None:
        rules = self._rules
        if self._last != index - 1:  # a line of a logger stands between
            self._begin, self._framed, self._message = index - 1, False, 0
        self._last = index
        is_framed = rules.is_framed(block)
        if index and self._is_joined(index, block, is_framed=is_framed):
            self.joined[index] = 1
            self._framed = self._framed or is_framed
            return
        opener = self._opener(index) if is_framed and self._is_in_a_message(block) else None
        if opener is None:
            self._begin, self._framed = index, is_framed
        else:
            self._join_message(opener, index)

    def _is_joined(self, index: int, block: str, *, is_framed: bool) -> bool:
        """Return True if the block is joined to the one before it, by the rules 1 to 4."""
        rules, message = self._rules, self._message
        self._message, self._in_doubt = 0, False
        if rules.expects(self._blocks[index - 1]):
            self._message = _MESSAGE_LINES if rules.has_messages else 0
            return True
        if LOG_LINE(block):
            return False
        if head := rules.head(block):
            return not self._framed and (head > _WEAK or is_framed)
        if rules.goes_on(block):
            return self._framed
        if message and (LOG_LINE(self._blocks[self._begin]) or "\n " in block or "\n\t" in block):
            self._message = max(0, message - block.count("\n") - 1)
            return True
        self._in_doubt = message > 0 or (self._framed and rules.may_go_on(block))
        return False

    # -- rule 5 --------------------------------------------------------------------------------------------------------

    def _is_in_a_message(self, block: str) -> bool:
        """True if the block may be the last line of a message, with the frames after it."""
        return self._rules.is_message(block) and not self._rules.mentions(block.partition("\n")[0])

    def _opener(self, end: int) -> int | None:
        """Return the last block before `end` whose message may go on there; None if there is none."""
        lines = 1  # the first one of the block there
        for index in range(end - 1, -1, -1):
            block = self._blocks[index]
            if self._rules.opens(block):
                return index
            lines += block.count("\n") + 1
            if lines > _MESSAGE_LINES or not self._rules.is_message(block) or self._rules.is_framed(block):
                return None
        return None

    def _join_message(self, opener: int, index: int) -> None:
        """Join the blocks after the opener to its event. An opener that was in doubt begins a trace."""
        rules = self._rules
        self.joined[opener + 1 : index + 1] = b"\1" * (index - opener)
        self._begin, self._framed = self.joined.rfind(0, 0, opener + 1), True
        if self._begin == opener > 0 and rules.head(self._blocks[opener]) == _WEAK:
            before = self.joined.rfind(0, 0, opener)
            if not any(map(rules.is_framed, self._blocks[before:opener])):
                self.joined[opener], self._begin = 1, before


def _last_lines(block: bytes, count: int) -> int:
    """Return the offset of the last `count` lines of whole lines."""
    at = len(block) - 1
    for _ in range(count):
        at = block.rfind(b"\n", 0, at)
        if at < 0:
            return 0
    return at + 1


def _after_lines(block: bytes, begin: int, count: int) -> int:
    """Return the offset behind `count` lines from `begin` on."""
    for _ in range(count):
        begin = block.index(b"\n", begin) + 1
    return begin
