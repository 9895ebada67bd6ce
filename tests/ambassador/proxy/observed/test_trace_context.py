"""W3C Trace Context: the rules of the recommendation, and OpenTelemetry's propagator as a second opinion."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sidecars.ambassador.proxy.observed import ids
from sidecars.ambassador.proxy.observed import trace_context as own
from tests.support import examples

TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
PARENT = b"00-%b-%b-01" % (TRACE, SPAN)

INVALID = (
    b"",
    PARENT[:-1],
    PARENT + b"0",
    PARENT + b"-00",  # version 00 has nothing behind the flags
    b"ff" + PARENT[2:],
    PARENT.upper(),
    b"0" + PARENT,
    PARENT.replace(b"-", b"_"),
    PARENT.replace(TRACE, b"0" * 32),
    PARENT.replace(SPAN, b"0" * 16),
    PARENT.replace(TRACE, TRACE[:-1]),
    PARENT.replace(TRACE, b"g" + TRACE[1:]),
    PARENT.replace(b"-01", b"-1x"),
    b"cc" + PARENT[2:] + b"x",  # a later version may have more, behind a dash
    PARENT.replace(b"00-", b"-00"),
    PARENT + b"\n",
)


@pytest.mark.parametrize("value", INVALID)
def test_an_invalid_traceparent_is_none_and_its_tracestate_goes_with_it(value: bytes) -> None:
    assert own.parse([(own.TRACEPARENT, value), (own.TRACESTATE, b"a=1")]) is None


def test_a_second_traceparent_makes_both_invalid() -> None:
    assert own.parse([(own.TRACEPARENT, PARENT)] * 2) is None


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (PARENT, 1),
        (PARENT[:-2] + b"00", 0),
        (PARENT[:-2] + b"ff", 3),  # those that are not known are not passed on
        (PARENT[:-2] + b"02", 2),
        (b"01" + PARENT[2:], 1),
        (b"cc" + PARENT[2:] + b"-what-the-future-brings", 1),
    ],
)
def test_a_valid_traceparent_goes_on_as_version_00_with_the_span_of_the_attempt(value: bytes, flags: int) -> None:
    found = own.parse([(own.TRACEPARENT, value)])
    assert found is not None
    assert (found.trace_id, found.parent_id, found.flags) == (TRACE, SPAN, flags)
    assert own.lines(found, b"c" * 16) == b"\r\ntraceparent: 00-%b-%b-%02x" % (TRACE, b"c" * 16, flags)


@given(
    st.one_of(
        st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{30,33}-[0-9a-f]{15,17}-[0-9a-f]{2}(-?.)?", fullmatch=True), st.text()
    )
)
@examples(300)
def test_opentelemetry_accepts_the_same_values(text: str) -> None:
    if not text.isascii() or text != text.strip() or "\n" in text:
        return  # no field of a request has such a value
    ours = own.parse_parent(text.encode())
    context = TraceContextTextMapPropagator().extract({"traceparent": text}, Context())
    theirs = trace.get_current_span(context).get_span_context()
    assert (ours is not None) == theirs.is_valid
    if ours is not None:
        assert (int(ours.trace_id, 16), int(ours.parent_id, 16)) == (theirs.trace_id, theirs.span_id)
        assert ours.flags & 1 == theirs.trace_flags & 1


MEMBERS = {
    "a=1": "a=1",
    "a=1,b=2": "a=1,b=2",
    " a=1 ,\t, b=2,": "a=1,b=2",
    "tenant@system=x y": "tenant@system=x y",
    "0a_-*/=~!": "0a_-*/=~!",
    "a=1,B=2": "",  # upper case
    "a": "",
    "=1": "",
    "a=": "",
    "a=1=2": "",
    "a =1": "",
    "a=\x7f": "",
    "a=" + "x" * 257: "",
    "a" * 257 + "=1": "",
    ",".join(f"k{number}=1" for number in range(32)): ",".join(f"k{number}=1" for number in range(32)),
    ",".join(f"k{number}=1" for number in range(33)): "",
}


@pytest.mark.parametrize("value", MEMBERS)
def test_tracestate_goes_on_whole_or_not_at_all(value: str) -> None:
    found = own.parse([(own.TRACEPARENT, PARENT), (own.TRACESTATE, value.encode())])
    assert found is not None
    assert found.state == MEMBERS[value].encode()


def test_the_members_of_several_fields_are_together_in_their_order() -> None:
    assert own.parse_state([b"a=1,b=2", b"", b"c=3"]) == b"a=1,b=2,c=3"


def test_beyond_512_characters_large_members_go_first_and_then_the_last_ones() -> None:
    large = b"large=" + b"x" * 200
    small = [b"k%d=%b" % (number, b"x" * 60) for number in range(9)]
    found = own.parse_state([b",".join([small[0], large, *small[1:]])])
    assert found == b",".join(small[:8])
    assert len(found) <= 512
    assert own.parse_state([b"a=" + b"x" * 256]) == b"a=" + b"x" * 256


@given(st.binary(max_size=600))
@examples(100)
def test_whatever_comes_no_state_is_longer_than_512_or_can_end_its_line(value: bytes) -> None:
    found = own.parse_state([value])
    assert len(found) <= 512
    assert re.fullmatch(rb"[\x20-\x7e]*", found)


@given(st.integers(1, 2**128 - 1), st.floats(0.0, 1.0))
@examples(100)
def test_the_ratio_samples_the_traces_that_opentelemetry_samples(number: int, ratio: float) -> None:
    theirs = TraceIdRatioBased(ratio).should_sample(None, number, "").decision is Decision.RECORD_AND_SAMPLE
    assert own.is_in_ratio(b"%032x" % number, own.sampling_bound(ratio)) == theirs


def test_no_trace_is_in_a_ratio_of_0_and_every_one_in_a_ratio_of_1() -> None:
    for trace_id in (b"0" * 31 + b"1", b"f" * 32):
        assert not own.is_in_ratio(trace_id, own.sampling_bound(0.0))
        assert own.is_in_ratio(trace_id, own.sampling_bound(1.0))


@given(st.integers(0, 2**128 - 1), st.floats(0, 4e9))
@examples(100)
def test_ids_have_their_forms_whatever_chance_gives(chance: int, now: float) -> None:
    def bits(count: int) -> int:
        return chance & (1 << count) - 1

    for form, made in ((rb"[0-9a-f]{32}", ids.trace_id(bits)), (rb"[0-9a-f]{16}", ids.span_id(bits))):
        assert re.fullmatch(form, made)
        assert int(made, 16)
    found = uuid.UUID(ids.request_id(bits, now).decode())
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == int(now * 1000)
