"""The adapter's parts put together: statistics, app client, judges, handlers, and the three ports.

Only the parts of the modes that are set are loaded: rules, exposition and dialects take 50 ms and 2 MB.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sidecars.adapter.app_client.client import AppClient
from sidecars.adapter.app_client.outcome import AppRequest
from sidecars.adapter.server.auth import Authenticator, BadCredentialsFile
from sidecars.adapter.server.limits import client_limits
from sidecars.adapter.server.probe_handler import ProbeHandler, serve
from sidecars.adapter.server.route_handlers import ForwardHandler, RouteHandler
from sidecars.adapter.server.routes import Route, Routes, routes_of
from sidecars.adapter.settings import App, Settings
from sidecars.adapter.statistics import Statistics
from sidecars.chassis import admin_server
from sidecars.chassis.accept.listen import bind, bound_address
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import tls
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import BadSettings, IOFailed, ServiceContext

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from sidecars.adapter.app_client.interpretation import InterpretationOptions
    from sidecars.adapter.server.verdict_handler import VerdictHandler
    from sidecars.adapter.verdict.judge import Judge
    from sidecars.adapter.verdict.rule_file import ReloadingRules
    from sidecars.adapter.verdict.verdict import Verdict
    from sidecars.chassis.page.picture import Picture

log = logs.get("adapter")


async def run(settings: Settings, context: ServiceContext) -> None:
    """Serve the routes until the process must stop. The process is ready once it listens, in any state of the app."""
    listening = context.health.hold("listener", "not listening yet")
    routes = routes_of(settings.apps.values())
    statistics = Statistics(routes)
    try:
        authenticator, own_tls = Authenticator(settings.token, settings.basic_auth), _own_tls(settings)
        options = _interpretation_options(settings, routes)
        app_client = AppClient(settings.apps.values(), statistics.apps, context.health, options)
    except tls.UnusableTLSFiles as error:
        raise IOFailed(error.reason, code="tls-files-unusable") from None
    except (OSError, BadCredentialsFile) as error:
        raise BadSettings(f"{variable(Settings, 'basic_auth')}: {error}", code="credentials-unusable") from None
    sockets = bind(settings.listen, variable(Settings, "listen"))
    longest = max(app.timeout for app in settings.apps.values())
    async with app_client:
        handlers = _handlers(settings, routes, app_client, statistics)
        probes = ProbeHandler(routes, handlers, statistics.server, authenticator)
        async with (
            admin_server.serve(
                settings,
                context.health,
                lambda: _metrics(statistics),
                statistics.status_page,
                picture=_picture,
            ),
            serve(probes, sockets, client_limits(settings), longest, own_tls),
            _agent(settings, handlers),
        ):
            listening.release()
            log.info("listening", address=bound_address(sockets), routes=[route.path for route in routes])
            await context.stopping.wait()


def _picture() -> Picture:
    """Import the picture: it costs nothing until somebody looks at the page."""
    from sidecars.adapter.picture import PICTURE  # noqa: PLC0415 - see above

    return PICTURE


def _metrics(statistics: Statistics) -> CollectorRegistry:
    from sidecars.adapter.metrics import StatisticsCollector  # noqa: PLC0415 - at the first scrape

    registry = admin_server.registry()
    registry.register(StatisticsCollector(statistics))
    return registry


def _interpretation_options(settings: Settings, routes: Routes) -> dict[AppRequest, InterpretationOptions]:
    """Return the options of each request whose response is interpreted: of all modes but `forward`."""
    if all(route.mode == "forward" for route in routes):
        return {}
    from sidecars.adapter.verdict.judge import options_of  # noqa: PLC0415 - not to forward

    return {
        app_request: options_of(settings.apps[app_request.app])
        for route in routes
        if route.mode != "forward"
        for app_request in route.app_requests
    }


def _handlers(
    settings: Settings, routes: Routes, app_client: AppClient, statistics: Statistics
) -> dict[str, RouteHandler]:
    """Return the handler of each route. Routes with the same app request share its judge."""
    handlers: dict[str, RouteHandler] = {}
    judges: dict[AppRequest, Judge] = {}
    for route in routes:
        if route.mode == "verdict":
            handlers[route.path] = _verdict_handler(settings, route, app_client, statistics, judges)
        elif route.mode == "metrics":
            handlers[route.path] = _metrics_handler(settings, route, app_client)
        else:
            handlers[route.path] = ForwardHandler(route, app_client)
    return handlers


def _verdict_handler(
    settings: Settings, route: Route, app_client: AppClient, statistics: Statistics, judges: dict[AppRequest, Judge]
) -> VerdictHandler:
    """Return the handler of a verdict. A judge that `judges` lacks is added."""
    from sidecars.adapter.server.verdict_handler import VerdictHandler  # noqa: PLC0415 - only in this mode
    from sidecars.adapter.verdict.judge import Judge  # noqa: PLC0415 - only in this mode

    for app_request in route.app_requests:
        if app_request not in judges:
            app = settings.apps[app_request.app]
            judges[app_request] = Judge(app, app_request, _rules(app, statistics))
            statistics.watch_judge(app_request, judges[app_request].status_page)
    route_judges = [judges[app_request] for app_request in route.app_requests]
    return VerdictHandler(route, app_client, route_judges, statistics.server.routes[route.path])


def _metrics_handler(settings: Settings, route: Route, app_client: AppClient) -> RouteHandler:
    from sidecars.adapter.server.metrics_handler import MetricsHandler  # noqa: PLC0415 - only in this mode
    from sidecars.adapter.verdict.judge import options_of  # noqa: PLC0415 - only in this mode

    options = [options_of(settings.apps[app_request.app]) for app_request in route.app_requests]
    return MetricsHandler(route, app_client, options)


def _rules(app: App, statistics: Statistics) -> ReloadingRules | None:
    """Return the app's rules, anew for each app request: a rate is about the pages of one URL."""
    if app.rules is None:
        return None
    from sidecars.adapter.verdict.rule_file import ReloadingRules  # noqa: PLC0415 - only with rules

    rules = ReloadingRules(app.rules, variable(Settings, "rules", app.name))
    if app.rules.file:
        statistics.watch_rules(app.name, lambda: rules.problem)
    return rules


def _own_tls(settings: Settings) -> tls.ReloadingContext | None:
    cert, key, client_ca = (tls.pem_file(settings, field, Settings) for field in ("tls_cert", "tls_key", "client_ca"))
    return tls.server_context(cert, key, client_ca) if cert else None


@asynccontextmanager
async def _agent(settings: Settings, handlers: Mapping[str, RouteHandler]) -> AsyncIterator[None]:
    """Serve HAProxy's agent-check while the context is open, if it is set: one verdict of all routes that have one."""
    if not settings.agent_listen:
        yield
        return
    from sidecars.adapter.server import haproxy_agent  # noqa: PLC0415 - few serve it
    from sidecars.adapter.server.route_handlers import gather_all  # noqa: PLC0415 - few serve it
    from sidecars.adapter.server.verdict_handler import VerdictHandler  # noqa: PLC0415 - few serve it
    from sidecars.adapter.verdict.verdict import combine_routes  # noqa: PLC0415 - few serve it

    verdicts = [handler for handler in handlers.values() if isinstance(handler, VerdictHandler)]
    sockets = bind(settings.agent_listen, variable(Settings, "agent_listen"))

    async def judge() -> Verdict:
        return combine_routes(await gather_all([handler.judge(None) for handler in verdicts]))

    async with haproxy_agent.serve(judge, sockets):
        log.info("listening for agent-checks", address=bound_address(sockets))
        yield
