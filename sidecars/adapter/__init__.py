"""The adapter: gives an app with only `/metrics` a `/health`, or the other way round, without any change to the app.

The server gets a probe, and the app client requests the app. The app's response is interpreted and judged, and the
result is sent in the dialect of the prober:

    prober ─▶ server ─▶ app_client ─▶ app
                │            │
                │            ├─ exposition: a metrics page, parsed and checked
                │            └─ health: a health document, or selected JSON, translated into metrics
                ├─ verdict: rules, hysteresis, and the dialects of monitoring systems
                └─ rendering: a metrics page, written in the scraper's format

Each package imports only those below it:

    app                                     everything put together
    metrics > statistics                    `/metrics` and `/status`
    server                                  ports, routes, handlers
    verdict                                 pass, warn or fail, and the reason
    app_client                              requests to the app, and the meaning of the response
    settings > setting_types                environment variables
    health | rendering | rules              one language each: health documents, metrics formats, rule expressions
    exposition                              metrics pages

Read `app` first, then `server.probe_handler`.
"""
