"""Single elements of short XML documents."""

from __future__ import annotations

import pytest

from sidecars.chassis.identity.xml_elements import element


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (b"<Error><Code>SlowDown</Code></Error>", "SlowDown"),
        (b"<e:Error xmlns:e='x'><e:Code>SlowDown</e:Code></e:Error>", "SlowDown"),
        (b'<Code a="1">\n a&amp;b &#x41;&#66; &#xD800; </Code>', "a&b AB \ufffd"),
        (b"<Codes>x</Codes><Code>y</Code>", "y"),
        (b"<Code></Code>", ""),
        (b"<Code/>", None),
        (b"<Code><Code>x</Code></Code>", ""),
        (b"&lt;Code>x</Code>", None),
        (b"", None),
        (b"\xff<Code>\xff</Code>", "\ufffd"),
    ],
)
def test_the_text_of_the_first_element_of_a_name_is_found(document: bytes, text: str | None) -> None:
    assert element(document, "Code") == text
