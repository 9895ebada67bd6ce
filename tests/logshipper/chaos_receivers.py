"""The chaos of receivers of our own: over TLS, of Loki and OTLP, and of streams without acknowledgement.

At the end each of them has every line, exactly once after repeats are dropped by their ids. A receiver of a stream
without acknowledgement (syslog, GELF over TCP) stops reading for a while, but its kernel is never killed: what that has
acknowledged arrives. Standard output goes to a file, whose last line may be torn by a kill.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from tests.logshipper.chaos_runs import Chaos
from tests.logshipper.opened_sinks import an_authority
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.receivers.forward import Forward
from tests.logshipper.receivers.gelf import GelfHttp, GelfTcp
from tests.logshipper.receivers.loki import Loki
from tests.logshipper.receivers.otlp import Otlp
from tests.logshipper.receivers.relp import Relp
from tests.logshipper.receivers.splunk import TOKEN, Splunk
from tests.logshipper.receivers.syslog import Syslog
from tests.logshipper.support import Receiver, lines_of

Record = dict[str, Any]

_MODES = ("ok", "ok", "ok", "lost", "503", "429", "403", "hang", "400")
_MODES_OF_STREAMS = {Relp: ("ok", "ok", "silent", "other", "ends"), Forward: ("ok", "ok", "silent", "other", "close")}


def _of_fields(name: str) -> Callable[[Any], Iterable[Record]]:
    """Return the reader of events whose fields have the id under this name."""
    return lambda receiver: (
        {"id": one.fields[name], "message": one.text, "partial": "partial" in one.fields}
        for one in receiver.events.copy()
    )


def _of_messages(receiver: Syslog | Relp) -> Iterable[Record]:
    return (
        {"id": one.data["id"], "message": one.text, "partial": "partial" in one.data}
        for one in receiver.messages.copy()
    )


def _of_documents(receiver: Elasticsearch) -> Iterable[Record]:
    return ({"id": ident, **document} for ident, document in receiver.documents.copy().items())


def _of_entries(receiver: Loki) -> Iterable[Record]:
    return (
        {"id": one.metadata["id"], "message": one.line, "partial": "partial" in one.metadata}
        for one in receiver.entries.copy()
    )


def _of_otlp(receiver: Otlp) -> Iterable[Record]:
    for message in receiver.received.copy():
        for logs in message.resource_logs:
            for record in (one for scope in logs.scope_logs for one in scope.log_records):
                names = {pair.key: pair.value.string_value for pair in record.attributes}
                text = record.body.string_value
                yield {"id": names["log.record.uid"], "message": text, "partial": "logshipper.partial" in names}


READ: dict[type, Callable[[Any], Iterable[Record]]] = {
    Receiver: lambda receiver: receiver.records(),
    Elasticsearch: _of_documents,
    Loki: _of_entries,
    Otlp: _of_otlp,
    Splunk: _of_fields("id"),
    GelfHttp: _of_fields("event_id"),
    Forward: lambda receiver: (one.record for one in receiver.events.copy()),
    Relp: _of_messages,
}


class ReceiversChaos(Chaos):
    """One set of files with an app, a shipper, and receivers of our own, which `create` makes."""

    kinds: ClassVar[dict[str, type]] = {}
    is_secure: ClassVar[bool] = False

    def open_sinks(self, seed: int) -> dict[str, str]:
        ca, context = an_authority(self.folder) if self.is_secure else ("", None)
        self.receivers: dict[str, Any] = {}
        settings = {}
        for name, kind in self.kinds.items():
            make: Any = kind
            receiver = make() if issubclass(kind, Receiver) else make(context=context)
            if context is not None and issubclass(kind, Receiver):
                receiver.use_tls(context)
            self.receivers[name] = receiver
            prefix = f"LOGSHIPPER_{name.upper()}"
            settings[f"{prefix}_SINK"] = receiver.url
            if context is not None:
                settings[f"{prefix}_SINK_CA"] = ca
            if kind is Splunk:
                settings[f"{prefix}_SINK_TOKEN"] = TOKEN
            if kind not in (Forward, Relp):
                settings[f"{prefix}_IN_FLIGHT"] = ("1", "3")[seed % 2]
        return settings

    def fail(self) -> None:
        for receiver in self.random.sample(list(self.receivers.values()), 2 if len(self.receivers) > 2 else 1):
            receiver.mode = self.random.choice(_MODES_OF_STREAMS.get(type(receiver), _MODES))

    def repair(self) -> None:
        for receiver in self.receivers.values():
            receiver.mode = "ok"
            if isinstance(receiver, Splunk):
                receiver.index()

    def arrived(self) -> dict[str, Counter[str]]:
        return {name: lines_of(READ[type(receiver)](receiver)) for name, receiver in self.receivers.items()}

    def size(self) -> int:
        return sum(1 for receiver in self.receivers.values() for _ in READ[type(receiver)](receiver))

    def repeats(self) -> int:
        ids = Counter(
            (name, record["id"])
            for name, receiver in self.receivers.items()
            for record in READ[type(receiver)](receiver)
        )
        return ids.total() - len(ids)

    def wrong_rejections(self) -> list[str]:
        return []

    def close_sinks(self) -> None:
        for receiver in self.receivers.values():
            receiver.close()


class HttpChaos(ReceiversChaos):
    """Loki and OTLP over HTTP, which the other profiles do not have."""

    names: ClassVar[tuple[str, ...]] = ("loki", "otlp")
    kinds: ClassVar[dict[str, type]] = {"loki": Loki, "otlp": Otlp}


class TlsChaos(ReceiversChaos):
    """All that is HTTP, RELP and Forward over TLS."""

    names: ClassVar[tuple[str, ...]] = ("web", "search", "loki", "otlp", "splunk", "graylog", "fluentd", "relp")
    kinds: ClassVar[dict[str, type]] = {
        "web": Receiver,
        "search": Elasticsearch,
        "loki": Loki,
        "otlp": Otlp,
        "splunk": Splunk,
        "graylog": GelfHttp,
        "fluentd": Forward,
        "relp": Relp,
    }
    is_secure: ClassVar[bool] = True


# -- streams without acknowledgement -----------------------------------------------------------------------------------


class _Paused:
    """A connection that is read while `reading` is set."""

    def __init__(self, connection: socket.socket, reading: threading.Event) -> None:
        self._connection, self._reading = connection, reading

    def recv(self, size: int) -> bytes:
        self._reading.wait()
        return self._connection.recv(size)

    def close(self) -> None:
        self._connection.close()


class PausedSyslog(Syslog):
    """A syslog receiver that can stop reading for a while."""

    def converse(self, connection: Any) -> None:
        paused: Any = _Paused(connection, StreamChaos.reading)
        super().converse(paused)


class PausedGelf(GelfTcp):
    """A Graylog that can stop reading for a while."""

    def converse(self, connection: Any) -> None:
        paused: Any = _Paused(connection, StreamChaos.reading)
        super().converse(paused)


READ |= {PausedSyslog: _of_messages, PausedGelf: _of_fields("event_id")}


class StreamChaos(ReceiversChaos):
    """Syslog and GELF over TCP and TLS, and standard output in the form of ECS, whose records have ids."""

    names: ClassVar[tuple[str, ...]] = ("syslog", "syslogs", "gelf", "gelfs", "out")
    reading: ClassVar[threading.Event] = threading.Event()

    def open_sinks(self, seed: int) -> dict[str, str]:
        del seed
        ca, context = an_authority(self.folder)
        self.reading.set()
        self.receivers = {
            "syslog": PausedSyslog(),
            "syslogs": PausedSyslog(context),
            "gelf": PausedGelf(),
            "gelfs": PausedGelf(context),
        }
        settings = {f"LOGSHIPPER_{name.upper()}_SINK": one.url for name, one in self.receivers.items()}
        secure = {f"LOGSHIPPER_{name}_SINK_CA": ca for name in ("SYSLOGS", "GELFS")}
        return {**settings, **secure, "LOGSHIPPER_OUT_SINK": "stdout:", "LOGSHIPPER_OUT_SINK_SCHEMA": "ecs"}

    def fail(self) -> None:
        if self.random.random() < 0.3:
            self.reading.clear()
        else:
            self.reading.set()

    def repair(self) -> None:
        self.reading.set()

    def _printed(self) -> list[Record]:
        """Return the records of standard output. The last line of a process that was killed may be torn."""
        found = []
        for path in sorted(self.folder.glob("stdout-*")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                record = json.loads(line)
                partial = "log.flags" in record
                found.append({"id": record["event.id"], "message": record["message"], "partial": partial})
        return found

    def arrived(self) -> dict[str, Counter[str]]:
        return {**super().arrived(), "out": lines_of(self._printed())}

    def size(self) -> int:
        return super().size() + sum(path.stat().st_size for path in self.folder.glob("stdout-*"))

    def close_sinks(self) -> None:
        self.reading.set()
        super().close_sinks()
