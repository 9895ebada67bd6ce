"""The sidecars: one package for each image, and the chassis, which all of them share.

    warcopier   init container   WAR in its image ──▶ webapps volume of Tomcat
    logshipper  sidecar          log files ──▶ log storage
    ambassador  ambassador       app ──▶ 127.0.0.1 ──▶ replicas of a service
    adapter     adapter          monitoring ──▶ /health ──▶ /metrics of the app, or the other way round
    chassis     shared           settings, life cycle, logs, admin endpoints, HTTP

Each sidecar has the same files in its root: `settings.py` declares its settings, `__main__.py` starts it, `app.py`
connects its parts. No sidecar imports another one, and the chassis imports none.
"""
