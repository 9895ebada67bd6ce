"""Health documents as the frameworks write them, one for each dialect."""

from __future__ import annotations

HEALTH_JSON = {
    "status": "warn",
    "version": "1",
    "checks": {
        "cassandra:responseTime": [{"componentId": "n1", "observedValue": 250, "observedUnit": "ms", "status": "pass"}],
        "cpu:utilization": [
            {"componentId": "a", "observedValue": 85, "status": "warn", "output": "is hot"},
            {"componentId": "b", "observedValue": 20.5, "status": "pass"},
        ],
        "uptime": [{"observedValue": 1209600.245}],
    },
}
SPRING = {
    "status": "DOWN",
    "components": {
        "db": {
            "status": "UP",
            "components": {
                "orders": {"status": "UP", "details": {"database": "H2", "validationQuery": "isValid()"}},
                "users": {"status": "DOWN", "details": {"error": "java.net.ConnectException"}},
            },
        },
        "diskSpace": {"status": "UP", "details": {"total": 499963174912, "free": 91300069376, "exists": True}},
        "mail": {"status": "OUT_OF_SERVICE"},
        "ping": {"status": "UNKNOWN"},
    },
    "groups": ["liveness", "readiness"],
}
MICROPROFILE = {
    "status": "DOWN",
    "checks": [
        {"name": "datasource", "status": "DOWN", "data": {"pool.size": 5, "healthy": False, "url": "jdbc:x"}},
        {"name": "heap", "status": "UP"},
    ],
}
ASPNET = {
    "status": "Degraded",
    "totalDuration": "00:00:00.05",
    "entries": {"redis": {"status": "Degraded", "description": "is slow", "data": {"ms": 120}}},
}
CONSUL = [
    {"Node": "n", "CheckID": "service:web", "Name": "web alive", "Status": "passing", "Output": "200 OK"},
    {"Node": "n", "CheckID": "service:db", "Name": "db alive", "Status": "critical", "Output": "refused"},
]
DROPWIZARD = {
    "database": {"healthy": False, "message": "no connection", "duration": 12, "timestamp": "2026-01-01T00:00:00Z"},
    "deadlocks": {"healthy": True, "duration": 0},
}
