"""Unexpected values and lines of an app, for the tests of formats, sinks and the program."""

from __future__ import annotations

NUMBERS = [
    b"1e999",
    b"-1e999",
    b"9" * 5000,
    b"-" + b"9" * 5000,
    b"1." + b"9" * 5000,
    b"1e-999",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"NaN",
    b"Infinity",
    b"-0.0",
    b"1.7e18",
]
TEXTS = [
    rb'"\ud800"',
    rb'"\udfff\ud800"',
    rb'"\u0000"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"' + b"x" * 5000 + b'"',
    b'""',
]
TIMES = [
    b'"9999-12-31T23:59:60-23:59"',
    b'"0000-00-00T00:00:00Z"',
    b'"0001-01-01T00:00:00+99:99"',
    b"-1",
    b"1e308",
    b"true",
    b'"' + b"9" * 5000 + b'"',
    b'"2026-01-02T03:04:05.' + b"9" * 5000 + b'Z"',
    '"\uff12\uff10\uff12\uff16-01-02T03:04:05Z"'.encode(),
]
DEEP = [b"[" * levels + b"]" * levels for levels in (252, 253, 300, 5000)]
DEEP += [b'{"a":' * levels + b"1" + b"}" * levels for levels in (252, 254, 5000)]
VALUES = [*NUMBERS, *TEXTS, *TIMES, *DEEP, b"null", b"{}", b"[]"]
LINES = [
    *(b'{"%b":%b}' % (name, value) for name in (b"a", b"time", b"level", b"message") for value in VALUES),
    *(b'{"x":{"y":%b},"time":"2026-01-02T03:04:05Z","level":"info"}' % value for value in VALUES),
    *(b'{"password":%b,"mail":"a@b.example"}' % value for value in VALUES),
    *(b"a=%b time=%b level=%b" % (value, value, value) for value in NUMBERS + TEXTS),
    *VALUES,
    b"",
    b"\x00" * 10,
    b'{"a":tru',
    b'{"a":1}x',
    b'\xef\xbb\xbf{"a":1}',
    b'{"%s":"%d%%"}',
    rb'{"\ud800":1}',
    b'{"a":1,"a":2}',
    b'{"id":1,"file":2,"partial":3,"time":"x","level":"y"}',
    b"[" * 5000,
    b'a="' + b"\\" * 999 + b'"',
    b"9999-99-99T99:99:99Z stdout F x",
    b"0001-01-01T00:00:00+99:99 stderr F \xff",
    b"2026-01-02T03:04:05Z stdout P x",
]
