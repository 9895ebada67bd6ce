"""Canaries: a unique text in each setting that can hold one, and the search for them in outputs.

The environments are in `canary_profiles`.
"""

from __future__ import annotations

import base64
import re
import string
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

WITHOUT_TEXT = re.compile(
    r"(?!none · java|drop · directory|generation · |kubernetes · |URL · )"  # choices that also take a text
    r"(?:boolean|number|duration|size|percentage|causes|octal mode|uid:gid|SHA-256|number or duration"
    r"|status or range, …|encoding|zone|rate|statuses|name of an input, …|field of a path, …"  # words that are known
    r"|quantile, duration or off|upstream and share|parts"
    r"|[A-Za-z0-9.:-]+( · [A-Za-z0-9_.:+-]+)+(, or two)?(; or /path=…, …)?)"
)
"""The names of types whose values have no room for a text that a user chooses."""


@dataclass
class Canaries:
    """The canaries of one environment. `made` has the row of the table for each: a setting, or a part of one."""

    prefix: str
    made: dict[str, str] = field(default_factory=dict)

    def fill(self, variable: str, template: str, row: str = "") -> str:
        """Return the value of the variable, with a new canary in each field. `row` is its setting, if it has a name."""
        values = {}
        for _, name, _, _ in string.Formatter().parse(template):
            if name is not None and name not in values:
                values[name] = self._new(row or variable, name)
        return template.format(**values)

    def _new(self, row: str, name: str) -> str:
        # It looks like a token, and is a name of a host, a header field, a metric, a regex and a tag.
        canary = f"canary{self.prefix}{len(self.made):03d}zq7x1v"
        self.made[canary] = row if name == "_" else f"{row} ({name})"
        return canary

    def found_in(self, output: str | bytes) -> Iterator[str]:
        """Yield the rows whose canary is in the output, in any encoding."""
        text = output.decode("latin-1") if isinstance(output, bytes) else output
        folded = urllib.parse.unquote(text).casefold()
        for canary, row in self.made.items():
            if canary in folded or any(spelling in text for spelling in spellings(canary)):
                yield row


def spellings(canary: str) -> Iterator[str]:
    """Yield the canary's base64, at each of the three places where it may begin, and its escapes in hexadecimal.

    It has letters and digits alone. So the raw text, the percent-encoded text and the text in JSON are the same, in
    upper or lower case; `found_in` decodes percent-encoding in full.
    """
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + canary.encode()).decode()
        yield encoded[(0, 2, 3)[before] : (before + len(canary)) * 8 // 6]
    yield canary.encode().hex()
    yield "".join(f"\\u{ord(one):04x}" for one in canary)


def environment(templates: Mapping[str, str], canaries: Canaries) -> dict[str, str]:
    """Return the environment of the templates, with canaries."""
    return {variable: canaries.fill(variable, template) for variable, template in templates.items()}


def broken(value: str) -> Iterator[str]:
    """Yield values that are near this one, and that most types refuse."""
    yield value[: len(value) // 2]
    yield value[:-1]
    yield value + value
    yield f"{value}\n{value}"
    yield f"wrong {value}"
    yield f"{value},{value}"
    yield f"{value},,"
    yield f"-{value}: {value}"
    yield f"{value}\x01([{{"
    yield f"ftp://joe:{value}@host/{value}?{value}"
    yield f"http://[{value}"
