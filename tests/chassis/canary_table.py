"""The table of disclosure: where the text of each setting is seen. `test_canaries` proves it, in both directions.

    check     the output of `--check`
    error     the message about a wrong value of this setting, or of another one
    start     the first two lines of the log: what the process will do, and its settings at the level debug
    log       any further line, at the level debug; stdout
    livez, readyz, metrics, status, page, nothing (a 404)     the endpoints of the admin port
    response  what the app gets from the ambassador
    response-forward, -verdict, -metrics, -401          what a prober gets from the adapter, by the mode of the route
    peer      what the setting's own upstream, app or receiver is sent
    stranger  what any other peer is sent: the place of a redirect, another upstream, another sink

A row without an output is a secret that is used by this process alone. The peers of the runs are dead, or lie, or echo
every request in the head and in the body of a response. Three rows follow from that:

- An upstream that echoes shows the app what the ambassador has added: the response is the upstream's own.
- An app that echoes shows a prober what the adapter has sent, in the mode `forward` alone, for the same reason.
- A receiver that echoes brings its secrets into logshipper's reasons. The net replaces them (NET), and leaves the user
  name and the names of header fields.
"""

from __future__ import annotations

OUTPUTS = frozenset(
    {
        *("check", "error", "start", "log", "stdout", "livez", "readyz", "metrics", "status", "page", "nothing"),
        *("response", "response-forward", "response-verdict", "response-metrics", "response-401", "peer", "stranger"),
    }
)

TABLE: dict[str, dict[str, str]] = {
    "warcopier": {
        "NODE_NAME": "check error start",
        "POD_IP": "check error start",
        "POD_NAME": "check error start",
        "POD_NAMESPACE": "check error start",
        "POD_UID": "check error start",
        "WARCOPIER_ADMIN_LISTEN": "check error",
        "WARCOPIER_ADMIN_SIBLINGS": "check error",
        "WARCOPIER_CONTEXT_PATH": "check error",
        "WARCOPIER_SOURCE": "check error start",
        "WARCOPIER_TARGET": "check error log start",
        "WARCOPIER_VERSION": "check error",
    },
    "logshipper": {
        "LOGSHIPPER_ADMIN_LISTEN": "check error",
        "LOGSHIPPER_ADMIN_SIBLINGS": "check error",
        "LOGSHIPPER_DONE_FILE": "check error",
        "LOGSHIPPER_DROP": "check error",
        "LOGSHIPPER_EXCLUDE": "check error",
        "LOGSHIPPER_KEEP": "check error",
        "LOGSHIPPER_LABELS": "check error page peer start status",
        "LOGSHIPPER_LEVEL_KEY": "check error",
        "LOGSHIPPER_LINK_ROOTS": "check error",
        "LOGSHIPPER_MULTILINE": "check error",
        "LOGSHIPPER_ON_REJECT": "check error",
        "LOGSHIPPER_PATHS": "check error log page peer start status",
        "LOGSHIPPER_REDACT": "check error page start status",
        "LOGSHIPPER_REGEX": "check error",
        "LOGSHIPPER_SINK (path)": "peer",
        "LOGSHIPPER_SINK (query)": "peer",
        "LOGSHIPPER_SINK_CA": "check error",
        "LOGSHIPPER_SINK_CERT": "check error",
        "LOGSHIPPER_SINK_HEADERS": "peer",
        "LOGSHIPPER_SINK_HEADERS (name)": "check log page peer start status",
        "LOGSHIPPER_SINK_KEY": "check error",
        "LOGSHIPPER_SINK_PASSWORD": "peer",
        "LOGSHIPPER_SINK_TOKEN": "peer",
        "LOGSHIPPER_SINK_USERNAME": "check error log page peer start status",
        "LOGSHIPPER_STATE_DIR": "check error page start status",
        "LOGSHIPPER_TIME_FORMAT": "check error",
        "LOGSHIPPER_TIME_KEY": "check error",
        "NODE_NAME": "check error page peer start status",
        "OTEL_EXPORTER_OTLP_HEADERS": "peer",
        "OTEL_EXPORTER_OTLP_HEADERS (name)": "check log page peer start status",
        "OTEL_RESOURCE_ATTRIBUTES": "check error",
        "OTEL_SERVICE_NAME": "check error",
        "POD_IP": "check error page peer start status",
        "POD_NAME": "check error page peer start status",
        "POD_NAMESPACE": "check error page peer start status",
        "POD_UID": "check error page peer start status",
    },
    "ambassador": {
        "AMBASSADOR_ADMIN_LISTEN": "check error",
        "AMBASSADOR_ADMIN_SIBLINGS": "check error",
        "AMBASSADOR_BALANCE": "check error page start status",
        "AMBASSADOR_HEADERS": "peer response",
        "AMBASSADOR_HEADERS (name)": "check page peer response start status",
        "AMBASSADOR_HEALTH_PATH (path)": "check page peer start status",
        "AMBASSADOR_HEALTH_PATH (query)": "peer",
        "AMBASSADOR_LISTEN": "check error",
        "AMBASSADOR_RESOLV_CONF": "check error",
        "AMBASSADOR_TLS_ALPN": "check error",
        "AMBASSADOR_TLS_CA": "check error",
        "AMBASSADOR_TLS_CERT": "check error",
        "AMBASSADOR_TLS_KEY": "check error",
        "AMBASSADOR_TLS_SERVER_NAME": "check error",
        "AMBASSADOR_TOKEN": "peer response",
        "AMBASSADOR_UPSTREAM": "check",
        "NODE_NAME": "check error page start status",
        "POD_IP": "check error page start status",
        "POD_NAME": "check error page start status",
        "POD_NAMESPACE": "check error page start status",
        "POD_UID": "check error page start status",
    },
    "adapter": {
        "ADAPTER_ADMIN_LISTEN": "check error",
        "ADAPTER_ADMIN_SIBLINGS": "check error",
        "ADAPTER_AGENT_LISTEN": "check error",
        "ADAPTER_BASIC_AUTH": "",
        "ADAPTER_CLIENT_CA": "check error",
        "ADAPTER_LISTEN": "check error",
        "ADAPTER_ROUTES (path)": "check log page peer response-forward response-metrics response-verdict start status",
        "ADAPTER_ROUTES (query)": "peer response-forward",
        "ADAPTER_RULES": "check error metrics page response-verdict start status",
        "ADAPTER_SELECT": "check error page start status",
        "ADAPTER_STATUS_VALUES": "check error page start status",
        "ADAPTER_TARGET": "check",
        "ADAPTER_TARGET_CA": "check error",
        "ADAPTER_TARGET_CERT": "check error",
        "ADAPTER_TARGET_KEY": "check error",
        "ADAPTER_TARGET_PASSWORD": "peer response-forward",
        "ADAPTER_TARGET_TOKEN": "peer response-forward",
        "ADAPTER_TARGET_USERNAME": "check error page peer response-forward start status",
        "ADAPTER_TLS_CERT": "check error",
        "ADAPTER_TLS_KEY": "check error",
        "ADAPTER_TOKEN": "",
        "NODE_NAME": "check error page start status",
        "POD_IP": "check error page start status",
        "POD_NAME": "check error page start status",
        "POD_NAMESPACE": "check error page start status",
        "POD_UID": "check error page start status",
    },
}

NET: dict[str, list[str]] = {
    "warcopier": [],
    "logshipper": ["text of a receiver"],
    "ambassador": [],
    "adapter": [],
}
"""The outputs in which the net (`runtime.scrubber`) had to replace a secret: a receiver has repeated its request."""
