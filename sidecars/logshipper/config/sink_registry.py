"""The sink registry: the table of sinks by the scheme of the sink's URL.

To add a sink, write its module in `sinks` and its row here. The row has the form of its URL, and the settings that it
uses. A setting that no configured sink uses is an error at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urlsplit

from sidecars.chassis.config import urls
from sidecars.chassis.config.urls import Url
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from sidecars.logshipper.config import url_forms

_OAUTH = frozenset(
    {
        *("sink_oauth_token_url", "sink_oauth_scope", "sink_oauth_client", "sink_oauth_key", "sink_oauth_key_id"),
        "sink_oauth_key_audience",
    }
)
_AUTH = frozenset({"sink_auth", "sink_aws_service", "sink_region"}) | _OAUTH
_HTTP = frozenset({"sink_token", "sink_username", "sink_password", "sink_headers", "sink_proxy"}) | _AUTH
_S3 = frozenset(
    {
        *("sink_username", "sink_password", "sink_session_token", "sink_ca", "sink_cert", "sink_key"),
        *("sink_region", "sink_endpoint", "sink_path_style", "sink_object_key", "sink_content_encoding"),
        *("sink_proxy", "sink_checksum", "sink_sse", "sink_sse_kms_key_id", "sink_storage_class"),
        *("sink_tags", "sink_acl"),
    }
)
_SCHEMA = frozenset({"sink_schema"})
_FORM = frozenset({"sink_method", "sink_encoding", "sink_content_type"})
_SHARED_KEY = frozenset({"sink_token", "sink_username", "sink_password"})
_KAFKA = frozenset(
    {
        *("sink_transactions", "sink_transactional_id", "sink_acks", "sink_message_key", "sink_sasl"),
        *("sink_token", "sink_username", "sink_password", "sink_region"),
        *_OAUTH,
    }
)
_TLS = frozenset({"sink_ca", "sink_cert", "sink_key"})


@dataclass(frozen=True, slots=True)
class Scheme:
    """One row of the table."""

    module: str  # in `sidecars.logshipper.sinks`
    url_form: str  # the form of its URLs, for messages
    check: Callable[[SplitResult], bool]  # returns True if the path, query and fragment are right
    uses: frozenset[str] = frozenset()  # fields of `SinkSettings`, beside those that all sinks use
    compression: tuple[str, ...] = ("none",)
    show_path: Callable[[str], str] = urls.hidden  # returns what is shown of the path: a webhook's may be its secret
    defaults: tuple[tuple[str, str], ...] = ()  # field and default, of settings whose default is another one here

    @property
    def kind(self) -> str:
        """The name of the module alone, such as `loki`."""
        return self.module.rpartition(".")[2]


def _plain_and_tls(plain: str, tls: str, scheme: Scheme) -> dict[str, Scheme]:
    """Return the two rows of a sink that has a scheme without TLS and one with TLS."""
    return {plain: scheme, tls: replace(scheme, uses=scheme.uses | _TLS)}


SCHEMES = {
    "stdout": Scheme("local.stdout", "stdout:", url_forms.nothing, _SCHEMA),
    "file": Scheme(
        "local.file",
        "file:///directory",
        url_forms.directory,
        frozenset({"sink_rotate_size", "sink_rotate_count"}) | _SCHEMA,
        show_path=url_forms.all_of_it,
    ),
    **_plain_and_tls(
        "http",
        "https",
        Scheme(
            "over_http.http",
            "http(s)://host[:port]/path",
            url_forms.with_batch_key,
            _HTTP | _FORM | _SCHEMA,
            ("none", "gzip", "zstd"),
        ),
    ),
    **_plain_and_tls(
        "loki+http",
        "loki+https",
        Scheme(
            "over_http.loki",
            "loki+http(s)://host[:port]",
            url_forms.anything,
            _HTTP | {"sink_labels"},
            ("none", "gzip", "snappy"),
        ),
    ),
    **_plain_and_tls(
        "elasticsearch+http",
        "elasticsearch+https",
        Scheme(
            "over_http.elasticsearch",
            "elasticsearch+http(s)://host[:port]/index",
            url_forms.index,
            _HTTP | _SCHEMA,
            ("none", "gzip"),
            show_path=url_forms.index_only,
        ),
    ),
    **_plain_and_tls(
        "otlp+http",
        "otlp+https",
        Scheme("over_http.otlp", "otlp+http(s)://host[:port]", url_forms.anything, _HTTP, ("none", "gzip")),
    ),
    **_plain_and_tls(
        "splunk+http",
        "splunk+https",
        Scheme(
            "over_http.splunk",
            "splunk+http(s)://host[:port]",
            url_forms.prefix,
            _HTTP | {"sink_ack", "sink_index", "sink_sourcetype"},
            ("none", "gzip"),
            defaults=(("in_flight", "8"), ("give_up_after", "10s")),
        ),
    ),
    "s3": Scheme(
        "s3.s3",
        "s3://bucket[/prefix]",
        url_forms.bucket,
        _S3 | _SCHEMA,
        ("none", "gzip", "zstd"),
        show_path=url_forms.all_of_it,
        defaults=(
            ("batch_size", "32MiB"),
            ("batch_timeout", "5m"),
            ("compression", "gzip"),
            ("give_up_after", "10s"),
        ),
    ),
    **_plain_and_tls(
        "forward",
        "forward+tls",
        Scheme(
            "over_tcp.forward",
            "forward(+tls)://host[:port][/tag]",
            url_forms.tag,
            _SHARED_KEY,
            ("none", "gzip", "zstd"),
            show_path=url_forms.all_of_it,
        ),
    ),
    **_plain_and_tls(
        "gelf+tcp",
        "gelf+tls",
        Scheme("over_tcp.gelf", "gelf+tcp://host[:port], gelf+tls://host[:port]", url_forms.host),
    ),
    **_plain_and_tls(
        "gelf+http",
        "gelf+https",
        Scheme(
            "over_http.gelf_http",
            "gelf+http(s)://host[:port]",
            url_forms.anything,
            _HTTP | {"sink_bulk"},
            ("none", "gzip"),
        ),
    ),
    **_plain_and_tls(
        "nats",
        "nats+tls",
        Scheme(
            "over_tcp.nats",
            "nats(+tls)://host[:port]/subject",
            url_forms.subject,
            _SHARED_KEY | _SCHEMA,
            show_path=url_forms.all_of_it,
        ),
    ),
    **_plain_and_tls(
        "relp",
        "relp+tls",
        Scheme("over_tcp.relp", "relp(+tls)://host[:port]", url_forms.host, frozenset({"sink_max_message"})),
    ),
    **_plain_and_tls(
        "syslog+tcp",
        "syslog+tls",
        Scheme("over_tcp.syslog", "syslog+tcp://host[:port], syslog+tls://host[:port]", url_forms.host),
    ),
    **_plain_and_tls(
        "kafka",
        "kafka+tls",
        Scheme(
            "kafka.kafka",
            "kafka(+tls)://host[:port][,host[:port]…]/topic",
            url_forms.topic,
            _KAFKA | _SCHEMA | {"sink_encoding"},
            ("none", "gzip", "snappy", "lz4", "zstd"),
            show_path=url_forms.all_of_it,
        ),
    ),
}
# The brokers of `kafka` are a list, and so the URL is parsed by `_parse_brokers`.
_LISTS = ("kafka", "kafka+tls")
_BROKER_PORT = 9092
_WITHOUT_CREDENTIALS = (
    "expected a URL without credentials; those belong in SINK_TOKEN, or SINK_USERNAME and SINK_PASSWORD"
)


def of(url: Url) -> Scheme:
    """Return the row of a URL that `parse` has accepted."""
    return SCHEMES[url.scheme]


def roots_of(url: Url) -> Iterable[DeclaredRoot]:
    """Return the directory that a sink writes to, if it has one."""
    return roots.to_write(str(url.target)) if of(url).kind == "file" else ()


def short_name(url: Url) -> str:
    """Return the receiver in words: `loki http://loki:3100`, `stdout`, `file:///out`. A path of a URL is left out."""
    if of(url).kind in ("stdout", "file"):
        return str(url).rstrip(":")
    if of(url).kind == "s3":
        return f"s3 {url}"
    protocol, plus, scheme = url.scheme.partition("+")
    return f"{protocol} {scheme}://{url.host_port}" if plus else f"{protocol}://{url.host_port}"


def parse(raw: str) -> Url:
    """Return the URL of a sink. Raises ValueError with the expected form."""
    scheme = SCHEMES.get(raw.partition(":")[0])
    if scheme is None:
        missing = "" if "://" in raw else "; it has no scheme: write one of these before it"
        raise ValueError(_unknown_scheme(raw.partition(":")[0], missing))
    if scheme.kind in ("stdout", "file"):
        parts = urlsplit(raw)
    elif not raw.isascii():
        raise ValueError("expected a URL in ASCII: a path percent-encoded, a host name in its xn-- form")
    elif raw.partition(":")[0] in _LISTS:
        return _parse_brokers(raw, scheme)
    else:
        try:
            parts = urls.split_url(raw, (raw.partition(":")[0],))
        except ValueError:
            has_blanks = any(map(str.isspace, raw))
            raise ValueError(f"expected {scheme.url_form}{', without spaces' if has_blanks else ''}") from None
        if "@" in parts.netloc:
            raise ValueError(_WITHOUT_CREDENTIALS)
        _refuse_fields(parts.netloc)
    if not scheme.check(parts):
        raise ValueError(f"expected {scheme.url_form}")
    return Url(parts, scheme.show_path)


def _unknown_scheme(name: str, missing: str) -> str:
    """Return the sentence about a scheme that is none. It does not repeat the text, which may hold a secret.

    `missing` is the end of the sentence if no scheme is similar.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only after a mistake

    close = get_close_matches(name, [*SCHEMES], 1)
    if close:
        return f"expected a known scheme; did you mean {SCHEMES[close[0]].url_form}?"
    url_forms = list(dict.fromkeys(scheme.url_form for scheme in SCHEMES.values()))
    return f"expected {', '.join(url_forms[:-1])} or {url_forms[-1]}{missing}"


def _parse_brokers(raw: str, scheme: Scheme) -> Url:
    """Return a URL with one or more brokers. Its host and port are those of the first one."""
    name, _, rest = raw.partition("://")
    hosts, slash, path = rest.partition("/")
    if "@" in hosts:
        raise ValueError(_WITHOUT_CREDENTIALS)
    _refuse_fields(hosts)
    try:
        first, *others = hosts.split(",")
        parts = urls.split_url(f"{name}://{first}{slash}{path}", (name,))
        for other in others:
            urls.split_url(f"{name}://{other}", (name,))
    except ValueError:
        raise ValueError(f"expected {scheme.url_form}") from None
    if not scheme.check(parts):
        raise ValueError(f"expected {scheme.url_form}, with a topic of letters, digits, dots, underscores and hyphens")
    return Url(parts, scheme.show_path, hosts)


def _refuse_fields(hosts: str) -> None:
    if "{" in hosts or "}" in hosts:
        raise ValueError("expected a host without fields in braces: a sink has one receiver for all events")


def brokers(url: Url) -> list[tuple[str, int]]:
    """Return the host and the port of each broker in a URL of Kafka."""
    found = [urlsplit(f"{url.scheme}://{host}") for host in url.host_port.split(",")]
    return [(parts.hostname or "", parts.port or _BROKER_PORT) for parts in found]
