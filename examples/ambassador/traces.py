"""A page that shows traces: it takes spans by OTLP (HTTP, protobuf), and draws each trace as a waterfall.

POST /v1/traces    takes spans
GET  /             the last traces, the newest first: errors and retries stand out
GET  /<trace id>   one trace: a row for each span, with its bar in time, and what is known of it
GET  /traces.json  the last traces, for programs

It is for a look at the example, not for production: it keeps 100 traces in memory, and asks nobody who they are.
HOST and PORT are the address on which it listens.
"""

import html
import os
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

MOST_TRACES = 100
MOST_SPANS = 100  # of a trace
LARGEST = 4 * 1024 * 1024  # bytes of a request

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
STYLE = """
:root { color-scheme: light dark; --line: #c4c4c4; --own: #0b5cad; --try: #2f7d32; --bad: #b3261e; --soft: #595959;
  --back: #ffffff; --ink: #1b1b1b }
@media (prefers-color-scheme: dark) {
  :root { --line: #4a4a4a; --own: #7ab8ff; --try: #81c784; --bad: #ff9c94; --soft: #b5b5b5;
    --back: #161616; --ink: #ececec }
}
html { background: var(--back); color: var(--ink) }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 70rem }
h1 { font-size: 1.4rem } a { color: inherit }
.soft { color: var(--soft) } .bad { color: var(--bad); font-weight: 600 }
ol { list-style: none; padding: 0 } li { border-top: 1px solid var(--line); padding: .6rem 0 }
svg { display: block; width: 100%; height: 14px; margin: .3rem 0 }
.lane { fill: var(--line); opacity: .35 } .own { fill: var(--own) } .try { fill: var(--try) }
.failed { fill: var(--bad) }
.name { overflow-wrap: anywhere } .child { margin-left: 1.2rem }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .1rem 1rem; margin: .4rem 0 }
dd { margin: 0; overflow-wrap: anywhere } summary { cursor: pointer; padding: .3rem 0 }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr } dd { margin-bottom: .3rem } }
"""

Span = dict[str, Any]


class Traces:
    """The last traces, by their ids: each is a list of spans."""

    def __init__(self) -> None:
        self.known: OrderedDict[str, list[Span]] = OrderedDict()

    def take(self, message: ExportTraceServiceRequest) -> None:
        for resource in message.resource_spans:
            service = attributes(resource.resource).get("service.name", "")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.add(span.trace_id.hex(), described(span, service))

    def add(self, trace: str, span: Span) -> None:
        spans = self.known.setdefault(trace, [])
        self.known.move_to_end(trace)
        if len(spans) < MOST_SPANS:
            spans.append(span)
        if len(self.known) > MOST_TRACES:
            self.known.popitem(last=False)


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind in ("string_value", "int_value", "bool_value", "double_value"):
        return getattr(value, kind)
    return str(value)


def attributes(holder: Any) -> dict[str, Any]:
    return {one.key: value_of(one.value) for one in holder.attributes}


def described(span: Any, service: str) -> Span:
    return {
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "service": service,
        "name": span.name,
        "kind": {2: "server", 3: "client"}.get(span.kind, "internal"),
        "start": span.start_time_unix_nano,
        "end": max(span.start_time_unix_nano, span.end_time_unix_nano),
        "failed": span.status.code == 2,
        "attributes": attributes(span),
        "events": [{"name": one.name, "at": one.time_unix_nano, **attributes(one)} for one in span.events],
    }


# -- what is shown ------------------------------------------------------------------------------------------------


def text(value: object) -> str:
    return html.escape(str(value))


def milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:,.1f} ms"


def in_order(spans: list[Span]) -> list[tuple[int, Span]]:
    """Return the spans with their depths: each behind its parent, by their beginnings."""
    ids = {span["id"] for span in spans}
    found: list[tuple[int, Span]] = []
    waiting = [(0, span) for span in sorted(spans, key=lambda one: -one["start"]) if span["parent"] not in ids]
    while waiting and len(found) < MOST_SPANS:
        depth, span = waiting.pop()
        found.append((depth, span))
        children = [one for one in spans if one["parent"] == span["id"] and one is not span]
        waiting += [(depth + 1, one) for one in sorted(children, key=lambda one: -one["start"])]
    return found


def page(title: str, body: str) -> web.Response:
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )
    return web.Response(text=document, content_type="text/html", headers=HEADERS)


def outcome(span: Span) -> str:
    known = span["attributes"]
    status = known.get("rpc.response.status_code") or known.get("http.response.status_code") or ""
    error = known.get("error.type", "")
    shown = text(status) if not error or error == str(status) else text(f"{status} {error}".strip())
    return f'<span class="bad">{shown or "failed"}</span>' if span["failed"] or error else shown


def bar(span: Span, first: int, length: int) -> str:
    """Return the bar of a span, in thousandths of the trace's time."""
    left = 1000 * (span["start"] - first) / length
    width = max(3.0, 1000 * (span["end"] - span["start"]) / length)
    kind = "failed" if span["failed"] else "own" if span["kind"] == "server" else "try"
    label = f"from {milliseconds(span['start'] - first)} to {milliseconds(span['end'] - first)}"
    return (
        f'<svg viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label="{text(label)}">'
        f'<rect class="lane" width="1000" height="14"/>'
        f'<rect class="{kind}" x="{min(left, 997.0):.2f}" width="{width:.2f}" height="14"/></svg>'
    )


def row(depth: int, span: Span, first: int, length: int) -> str:
    known = span["attributes"]
    where = f"{known.get('network.peer.address', '')}:{known.get('network.peer.port', '')}"
    title = f"{span['name']} {known.get('url.path', '')}" if span["kind"] == "server" else f"attempt at {where}"
    details = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in sorted(known.items()))
    events = "".join(
        f"<p>{milliseconds(one['at'] - first)}: {text(one['name'])}, since {text(one.get('ambassador.reason', ''))} "
        f"({text(one.get('network.peer.address', ''))})</p>"
        for one in span["events"]
    )
    return (
        f'<li class="{"child" if depth else ""}"><span class="name">{text(title)}</span> {outcome(span)} '
        f'<span class="soft">{milliseconds(span["end"] - span["start"])}</span>{bar(span, first, length)}{events}'
        f"<details><summary>What is known of it</summary><dl>{details}</dl></details></li>"
    )


def bounds(spans: list[Span]) -> tuple[int, int]:
    """Return the beginning of a trace, and its length, which is not 0."""
    first = min(span["start"] for span in spans)
    return first, max(1, max(span["end"] for span in spans) - first)


routes = web.RouteTableDef()
TRACES = web.AppKey("traces", Traces)


@routes.post("/v1/traces")
async def take(request: web.Request) -> web.Response:
    try:
        message = ExportTraceServiceRequest.FromString(await request.read())
    except DecodeError:
        return web.Response(status=400)
    request.app[TRACES].take(message)
    return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf")


@routes.get("/")
async def overview(request: web.Request) -> web.Response:
    items = []
    for trace, spans in reversed(request.app[TRACES].known.items()):
        first, length = bounds(spans)
        _, root = in_order(spans)[0]
        attempts = sum(span["kind"] == "client" for span in spans)
        began = datetime.fromtimestamp(first / 1e9, UTC).strftime("%H:%M:%S")
        title = text(f"{root['name']} {root['attributes'].get('url.path', '')}")
        items.append(
            f'<li><a class="name" href="/{trace}">{title}</a>'
            f' {outcome(root)} <span class="soft">{began}, {milliseconds(length)}, {attempts} '
            f"{'attempt' if attempts == 1 else 'attempts'}</span>{bar(root, first, length)}</li>"
        )
    empty = "<p>No span has come yet. The ambassador sends those of the last second together.</p>"
    return page("Traces", f"<h1>Traces</h1>{'<ol>' + ''.join(items) + '</ol>' if items else empty}")


@routes.get("/traces.json")
async def as_json(request: web.Request) -> web.Response:
    return web.json_response(dict(request.app[TRACES].known))


@routes.get("/{trace:[0-9a-f]{32}}")
async def waterfall(request: web.Request) -> web.Response:
    trace = request.match_info["trace"]
    spans = request.app[TRACES].known.get(trace)
    if not spans:
        raise web.HTTPNotFound(text="this trace is not known any more\n")
    first, length = bounds(spans)
    rows = "".join(row(depth, span, first, length) for depth, span in in_order(spans))
    head = f'<h1>A trace</h1><p class="soft name">{trace}, {milliseconds(length)}. <a href="/">All traces</a></p>'
    return page("A trace", f"{head}<ol>{rows}</ol>")


def make() -> web.Application:
    app = web.Application(client_max_size=LARGEST)
    app[TRACES] = Traces()
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    web.run_app(
        make(), host=os.environ.get("HOST"), port=int(os.environ.get("PORT", "4318")), print=None, access_log=None
    )
