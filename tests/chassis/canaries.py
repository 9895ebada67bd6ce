"""Canaries: a unique text in each setting that can hold one, and the search for them in outputs.

A template has a field for each canary: `{_}` in a setting with one, `{path}` and `{query}` where the parts of a value
are shown differently. `PROFILES` has environments that are valid as they are. Several are needed, since some settings
exclude each other. `test_canaries` checks that they cover every setting that can hold text.
"""

from __future__ import annotations

import base64
import re
import string
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

BCRYPT = "$2b$04$" + 53 * "a"
POD = dict.fromkeys(("POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP", "NODE_NAME"), "{_}")

PROFILES: dict[str, list[dict[str, str]]] = {
    "warcopier": [
        {
            **POD,
            "WARCOPIER_SOURCE": "/{_}/a.war",
            "WARCOPIER_TARGET": "/{_}",
            "WARCOPIER_CONTEXT_PATH": "/{_}",
            "WARCOPIER_VERSION": "{_}",
            "WARCOPIER_WATCH": "true",
            "WARCOPIER_ADMIN_LISTEN": "unix:/{_}",
            "WARCOPIER_ADMIN_SIBLINGS": "{_}=1",
        }
    ],
    "logshipper": [
        {
            **POD,
            "LOGSHIPPER_PATHS": "/{_}/*.log",
            "LOGSHIPPER_EXCLUDE": "/{_}",
            "LOGSHIPPER_FORMAT": "regex",
            "LOGSHIPPER_REGEX": "(?P<time>\\S+) (?P<level>\\S+) {_}",
            "LOGSHIPPER_MULTILINE": "^{_} .*",
            "LOGSHIPPER_LABELS": "app={_}",
            "LOGSHIPPER_REDACT": "email,/{_}/",
            "LOGSHIPPER_KEEP": "{_}",
            "LOGSHIPPER_DROP": "{_}",
            "LOGSHIPPER_SINK": "https://host.invalid/{path}/in?key={query}",
            "LOGSHIPPER_SINK_TOKEN": "{_}",
            "LOGSHIPPER_SINK_HEADERS": "X-{name}={_}",
            "LOGSHIPPER_SINK_CA": "/{_}",
            "LOGSHIPPER_SINK_CERT": "/{_}",
            "LOGSHIPPER_SINK_KEY": "/{_}",
            "LOGSHIPPER_ON_REJECT": "/{_}",
            "LOGSHIPPER_STATE_DIR": "/{_}",
            "LOGSHIPPER_LINK_ROOTS": "/{_}",
            "LOGSHIPPER_DONE_FILE": "/{_}",
            "LOGSHIPPER_ADMIN_LISTEN": "unix:/{_}",
            "LOGSHIPPER_ADMIN_SIBLINGS": "{_}=1",
        },
        {
            "LOGSHIPPER_PATHS": "/logs/*.log",
            "LOGSHIPPER_FORMAT": "json",
            "LOGSHIPPER_TIME_KEY": "{_}",
            "LOGSHIPPER_TIME_FORMAT": "%Y-%m-%d {_}",
            "LOGSHIPPER_LEVEL_KEY": "{_}",
            "LOGSHIPPER_SINK": "otlp+https://host.invalid/{path}?key={query}",
            "LOGSHIPPER_SINK_USERNAME": "{_}",
            "LOGSHIPPER_SINK_PASSWORD": "{_}",
            "OTEL_SERVICE_NAME": "{_}",
            "OTEL_RESOURCE_ATTRIBUTES": "a={_}",
            "OTEL_EXPORTER_OTLP_HEADERS": "X-{name}={_}",
        },
    ],
    "ambassador": [
        {
            **POD,
            "AMBASSADOR_LISTEN": "unix:/{_}",
            "AMBASSADOR_UPSTREAM": "https://{_}.invalid",
            "AMBASSADOR_BALANCE": "hash:header:{_}",
            "AMBASSADOR_HEALTH_PATH": "/{path}?key={query}",
            "AMBASSADOR_RESOLV_CONF": "/{_}",
            "AMBASSADOR_TLS_CA": "/{_}",
            "AMBASSADOR_TLS_CERT": "/{_}",
            "AMBASSADOR_TLS_KEY": "/{_}",
            "AMBASSADOR_TLS_SERVER_NAME": "{_}.invalid",
            "AMBASSADOR_TLS_ALPN": "{_}",
            "AMBASSADOR_HEADERS": "X-{name}: {_}\n+Cookie: a={_}\n",
            "AMBASSADOR_TOKEN": "{_}",
            "AMBASSADOR_ADMIN_LISTEN": "unix:/{_}",
            "AMBASSADOR_ADMIN_SIBLINGS": "{_}=1",
        }
    ],
    "adapter": [
        {
            **POD,
            "ADAPTER_LISTEN": "unix:/{_}",
            "ADAPTER_TARGET": "https://{_}.invalid",
            "ADAPTER_ROUTES": "/health=/{path}?key={query},/x=/y",
            "ADAPTER_MODE": "verdict",
            "ADAPTER_RULES": '{_}: up{{a="b"}} == 1 fail',
            "ADAPTER_SELECT": "{_}=$.a",
            "ADAPTER_STATUS_VALUES": "{_}=1",
            "ADAPTER_TARGET_CA": "/{_}",
            "ADAPTER_TARGET_CERT": "/{_}",
            "ADAPTER_TARGET_KEY": "/{_}",
            "ADAPTER_TARGET_TOKEN": "{_}",
            "ADAPTER_AGENT_LISTEN": "unix:/{_}",
            "ADAPTER_TLS_CERT": "/{_}",
            "ADAPTER_TLS_KEY": "/{_}",
            "ADAPTER_CLIENT_CA": "/{_}",
            "ADAPTER_BASIC_AUTH": "{_}:" + BCRYPT,
            "ADAPTER_TOKEN": "{_}",
            "ADAPTER_ADMIN_LISTEN": "unix:/{_}",
            "ADAPTER_ADMIN_SIBLINGS": "{_}=1",
        },
        {"ADAPTER_TARGET_USERNAME": "{_}", "ADAPTER_TARGET_PASSWORD": "{_}"},
    ],
}

WITHOUT_TEXT = re.compile(
    r"(?!none · java|drop · directory)"  # choices that also take a text
    r"(?:boolean|number|duration|size|percentage|causes|octal mode|uid:gid|SHA-256|number or duration"
    r"|status or range, …"
    r"|[a-z0-9.-]+( · [a-z0-9.+-]+)+(; or /path=…, …)?)"
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
