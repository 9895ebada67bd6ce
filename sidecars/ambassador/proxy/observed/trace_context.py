"""W3C Trace Context, levels 1 and 2: `traceparent` and `tracestate`, parsed and written. No I/O, no randomness.

https://www.w3.org/TR/trace-context-1/ and https://www.w3.org/TR/trace-context-2/

    traceparent   version 00 has exactly four parts. A later version may have more behind them, which are dropped, and
                  goes on as version 00 (section 4.3). Version ff, ids of zeros only, upper case and a second
                  traceparent make it invalid: then there is none, and its tracestate is dropped with it (section 3.2)
    flags         sampled and random are kept. All others are written as 0 (section 3.2.2.5)
    tracestate    members of all its fields together, in their order (section 3.3.1). More than 32 members, or one that
                  violates the grammar, and all of it is dropped; traceparent stays. Beyond 512 characters members go:
                  first those with more than 128 characters, then the last ones (section 3.3.1.5)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"

SAMPLED: Final = 1
RANDOM: Final = 2  # level 2: the last seven bytes of the trace id are random
_KNOWN: Final = SAMPLED | RANDOM

_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL).fullmatch
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16

_KEY: Final = rb"[a-z0-9][a-z0-9_*/@-]{0,255}"  # level 2; level 1's keys with a tenant are among them
_VALUE: Final = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER: Final = re.compile(rb"%b=%b" % (_KEY, _VALUE)).fullmatch
_MOST_MEMBERS: Final = 32
_LONGEST: Final = 512  # characters of all members together
_LARGE_MEMBER: Final = 128  # characters; such members are the first to go


class TraceContext:
    """The place of a request in a trace: ids in lower-case hexadecimal digits.

    - `parent_id`: the span of whoever has sent the request; b"" if the trace begins here.
    - `flags`: SAMPLED and RANDOM.
    - `state`: the members of tracestate; b"" for none.
    """

    __slots__ = ("flags", "parent_id", "state", "trace_id")

    def __init__(self, trace_id: bytes, parent_id: bytes, flags: int, state: bytes = b"") -> None:
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.flags = flags
        self.state = state


def parse(fields: Sequence[tuple[bytes, bytes]]) -> TraceContext | None:
    """Return the context of a request with these fields (name in lower case, value); None if it has no valid one."""
    parents = [value for name, value in fields if name == TRACEPARENT]
    found = parse_parent(parents[0]) if len(parents) == 1 else None
    if found is not None:
        found.state = parse_state([value for name, value in fields if name == TRACESTATE])
    return found


def parse_parent(value: bytes) -> TraceContext | None:
    """Return the context that a traceparent has; None if it is invalid."""
    found = _PARENT(value)
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None) or trace_id == _NO_TRACE or parent_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, parent_id, int(flags, 16) & _KNOWN)


def parse_state(values: Sequence[bytes]) -> bytes:
    """Return the members of these values of tracestate, as they go on; b"" if there are none, or one is invalid."""
    if not values:
        return b""
    members = [member for value in values for member in [part.strip(b" \t") for part in value.split(b",")] if member]
    if len(members) > _MOST_MEMBERS or not all(map(_MEMBER, members)):
        return b""
    length = sum(map(len, members)) + len(members) - 1
    if length > _LONGEST:
        members = [member for member in members if len(member) <= _LARGE_MEMBER]
        while members and sum(map(len, members)) + len(members) - 1 > _LONGEST:
            del members[-1]
    return b",".join(members)


def lines(context: TraceContext, span_id: bytes) -> bytes:
    """Return the field lines of a request that this span sends, each behind a CR LF."""
    line = b"\r\ntraceparent: 00-%b-%b-%02x" % (context.trace_id, span_id, context.flags)
    return b"%b\r\ntracestate: %b" % (line, context.state) if context.state else line


def sampling_bound(ratio: float) -> int:
    """Return the bound for `is_in_ratio`. `ratio` is from 0 to 1."""
    return round(ratio * 2**64)


def is_in_ratio(trace_id: bytes, bound: int) -> bool:
    """Return True if the trace is one of those to sample: two processes with the same ratio agree.

    The last eight bytes decide, as in OpenTelemetry's sampler TraceIdRatioBased.
    """
    return int(trace_id[16:], 16) < bound
