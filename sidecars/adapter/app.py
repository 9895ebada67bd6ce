"""The adapter, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from sidecars.adapter.app_client.client import Upstream
from sidecars.adapter.app_client.interpretation import Limits
from sidecars.adapter.app_client.outcome import Question
from sidecars.adapter.metrics import RecordCollector
from sidecars.adapter.server import haproxy_agent
from sidecars.adapter.server.auth import BadCredentialsFile, Guard
from sidecars.adapter.server.handler import Probes, serve
from sidecars.adapter.server.route_handlers import Desk, Forward, Metrics, Verdicts, together_of
from sidecars.adapter.server.routes import Route, routes_of
from sidecars.adapter.settings import App, Settings
from sidecars.adapter.statistics import Record
from sidecars.adapter.verdict.judge import Judge, limits_of
from sidecars.adapter.verdict.rule_file import Rulebook
from sidecars.adapter.verdict.verdict import Verdict, of_all
from sidecars.chassis import admin_server
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import tls
from sidecars.chassis.http.listen import bind, bound_address
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import BadSettings, ServiceContext

log = logs.get("adapter")


async def run(settings: Settings, context: ServiceContext) -> None:
    """Answer the routes until told to stop. It is ready once it listens: it never waits for the app."""
    listening = context.health.hold("listener", "not listening yet")
    routes = routes_of(settings.apps.values())
    record = Record(routes)
    metrics = admin_server.registry()
    metrics.register(RecordCollector(record))
    try:
        guard, own_tls = Guard(settings.token, settings.basic_auth), _own_tls(settings)
        upstream = Upstream(settings.apps.values(), record, context.health, _limits(settings, routes))
    except tls.UnusableTLSFiles as error:
        raise BadSettings(error.reason) from None
    except (OSError, BadCredentialsFile) as error:
        raise BadSettings(f"{variable(Settings, 'basic_auth')}: {error}") from None
    sockets = bind(settings.listen, variable(Settings, "listen"))
    longest = max(app.timeout for app in settings.apps.values())
    async with upstream:
        desks = _desks(settings, routes, upstream, record)
        probes = Probes(routes, desks, record, guard)
        async with (
            admin_server.serve(settings, context.health, metrics, record.page),
            serve(probes, sockets, settings.max_connections, longest, own_tls),
            _agent(settings, [desk for desk in desks.values() if isinstance(desk, Verdicts)]),
        ):
            listening.release()
            log.info("listening", address=bound_address(sockets), routes=[route.path for route in routes])
            await context.stopping.wait()


def _limits(settings: Settings, routes: Iterable[Route]) -> dict[Question, Limits]:
    """The questions whose answers are understood, and how much of them is taken."""
    return {
        question: limits_of(settings.apps[question.app])
        for route in routes
        if route.mode != "forward"
        for question in route.questions
    }


def _desks(settings: Settings, routes: Iterable[Route], upstream: Upstream, record: Record) -> dict[str, Desk]:
    """What answers each route."""
    desks: dict[str, Desk] = {}
    judges: dict[Question, Judge] = {}
    for route in routes:
        apps = [settings.apps[question.app] for question in route.questions]
        if route.mode == "verdict":
            for app, question in zip(apps, route.questions, strict=True):
                judges[question] = judges.get(question) or Judge(app, question, _rulebook(app, record))
            sitting = [judges[question] for question in route.questions]
            desks[route.path] = Verdicts(route, upstream, sitting, record.routes[route.path])
        elif route.mode == "metrics":
            desks[route.path] = Metrics(route, upstream, [limits_of(app) for app in apps])
        else:
            desks[route.path] = Forward(route, upstream)
    return desks


def _rulebook(app: App, record: Record) -> Rulebook | None:
    """The app's rules. Rates are about one page of the app, so each question has a book of its own."""
    if app.rules is None:
        return None
    book = Rulebook(app.rules, variable(Settings, "rules", app.name))
    if app.rules.file:
        record.apps[app.name].rule_files.append(lambda: book.problem)
    return book


def _own_tls(settings: Settings) -> tls.ReloadingContext | None:
    if not settings.tls_cert:
        return None

    def file(field: str) -> tls.PemFile | None:
        path = getattr(settings, field)
        return tls.PemFile(variable(Settings, field), str(path)) if path else None

    cert = tls.PemFile(variable(Settings, "tls_cert"), str(settings.tls_cert))
    return tls.server_context(cert, file("tls_key"), file("client_ca"))


@asynccontextmanager
async def _agent(settings: Settings, desks: Sequence[Verdicts]) -> AsyncIterator[None]:
    """HAProxy's agent-check, where it is asked for: one verdict of all routes that have any."""
    if not settings.agent_listen:
        yield
        return
    sockets = bind(settings.agent_listen, variable(Settings, "agent_listen"))

    async def judge() -> Verdict:
        return of_all(await together_of([desk.judge(None) for desk in desks]))

    async with haproxy_agent.serve(judge, sockets):
        log.info("agent-checks are answered", address=bound_address(sockets))
        yield
