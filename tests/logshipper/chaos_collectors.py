"""The chaos of collectors that acknowledge: Splunk with its indexers, Graylog over HTTP, Fluentd, and a real NATS.

At the end each of them has every line, exactly once after repeats are dropped by their ids. The stream of NATS has them
once without that, since it drops what it has seen within its window. Splunk also takes events without indexing them,
and forgets them, as an indexer that is killed does.
"""

from __future__ import annotations

import contextlib
import json
from base64 import b64decode
from collections import Counter
from typing import Any, ClassVar

import trustme

from tests.logshipper.chaos_runs import Chaos
from tests.logshipper.nats_server import Client, nats_server
from tests.logshipper.receivers.forward import Forward
from tests.logshipper.receivers.gelf import GelfHttp
from tests.logshipper.receivers.splunk import TOKEN, Splunk
from tests.logshipper.support import lines_of

_MODES = ("ok", "ok", "ok", "lost", "503", "429", "403", "hang", "400")
_MODES_OF_FORWARD = ("ok", "ok", "ok", "silent", "other", "close", "garbage")


class Stream:
    """A stream of a real NATS server, with its records so far."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._found: list[dict[str, Any]] = []
        client.create_stream("LOGS", "logs.>", duplicate_window=3600 * 10**9)

    def records(self) -> list[dict[str, Any]]:
        while len(self._found) < self._client.count("LOGS"):
            message = self._client.request("$JS.API.STREAM.MSG.GET.LOGS", {"seq": len(self._found) + 1})["message"]
            self._found.append(json.loads(b64decode(message["data"])))
        return self._found


class CollectorChaos(Chaos):
    """One set of files with an app, a shipper, an indexer, a Graylog and a stream."""

    names: ClassVar[tuple[str, ...]] = ("splunk", "graylog", "fluentd", "stream")

    def open_sinks(self, seed: int) -> dict[str, str]:
        self._open = contextlib.ExitStack()
        self.splunk, self.graylog, self.fluentd = Splunk(), GelfHttp(), Forward()
        self.graylog.in_bulk = True
        (self.folder / "nats").mkdir()
        is_secure = seed % 2 == 1
        more, ca = self._certificate() if is_secure else ("", "")
        port = self._open.enter_context(nats_server(self.folder / "nats", more))
        client = Client(port)
        self._open.callback(client.close)
        self.stream = Stream(client)
        return {
            "LOGSHIPPER_SPLUNK_SINK": self.splunk.url,
            "LOGSHIPPER_SPLUNK_SINK_TOKEN": TOKEN,
            "LOGSHIPPER_SPLUNK_SINK_ACK": ("auto", "required")[seed % 2],
            "LOGSHIPPER_GRAYLOG_SINK": self.graylog.url,
            "LOGSHIPPER_GRAYLOG_SINK_BULK": "true",
            "LOGSHIPPER_GRAYLOG_IN_FLIGHT": ("1", "3")[seed % 2],
            "LOGSHIPPER_FLUENTD_SINK": self.fluentd.url,
            "LOGSHIPPER_STREAM_SINK": f"nats{'+tls' if is_secure else ''}://localhost:{port}/logs.app",
            **({"LOGSHIPPER_STREAM_SINK_CA": ca} if is_secure else {}),
        }

    def _certificate(self) -> tuple[str, str]:
        """Return the configuration of a server with and without TLS, and the file of its authority."""
        authority, both = trustme.CA(), self.folder / "both.pem"
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)
        return f'tls {{ cert_file: "{both}", key_file: "{both}" }}\nallow_non_tls: true', str(self.folder / "ca.crt")

    def fail(self) -> None:
        self.random.choice((self.splunk, self.graylog)).mode = self.random.choice(_MODES)
        self.fluentd.mode = self.random.choice(_MODES_OF_FORWARD)
        self.splunk.holds = self.random.random() < 0.3
        if self.random.random() < 0.2:
            self.splunk.taken.clear()
            self.splunk.channels.clear()

    def repair(self) -> None:
        self.splunk.mode = self.graylog.mode = self.fluentd.mode = "ok"
        self.splunk.holds = False
        self.splunk.index()

    def arrived(self) -> dict[str, Counter[str]]:
        return {
            "splunk": lines_of(
                {"id": one.fields["id"], "message": one.text, "partial": "partial" in one.fields}
                for one in self.splunk.events.copy()
            ),
            "graylog": lines_of(
                {"id": one.fields["event_id"], "message": one.text, "partial": "partial" in one.fields}
                for one in self.graylog.events.copy()
            ),
            "fluentd": lines_of(one.record for one in self.fluentd.events.copy()),
            "stream": lines_of(self.stream.records()),
        }

    def size(self) -> int:
        events = len(self.splunk.events) + len(self.graylog.events) + len(self.fluentd.events)
        return events + len(self.stream.records())

    def repeats(self) -> int:
        ids = Counter(one.fields["id"] for one in self.splunk.events)
        return ids.total() - len(ids)

    def wrong_rejections(self) -> list[str]:
        ids = Counter(record["id"] for record in self.stream.records())
        return (
            [f"twice in the stream: {twice[:5]}"] if (twice := [one for one, count in ids.items() if count > 1]) else []
        )

    def close_sinks(self) -> None:
        self.splunk.close()
        self.graylog.close()
        self.fluentd.close()
        self._open.close()
