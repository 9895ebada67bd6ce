"""The verifier of signatures behind HTTP/2: frames by the library `h2`, the judgement by `aws_verifier`."""

from __future__ import annotations

import ssl

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from tests.ambassador.aws_verifier import Seen, Verifier
from tests.ambassador.support import Peer


class Http2Verifier(Verifier):
    """The handler of a `Backend` with TLS. `protocols`: what ALPN has selected, for each connection."""

    def __init__(self, service: str, session: str | None = None) -> None:
        super().__init__(service, session)
        self.protocols: list[str | None] = []

    def __call__(self, peer: Peer) -> None:
        assert isinstance(peer.socket, ssl.SSLSocket)
        self.protocols.append(peer.socket.selected_alpn_protocol())
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        heads: dict[int, list[tuple[str, str]]] = {}
        bodies: dict[int, bytearray] = {}
        peer.send(connection.data_to_send())
        while data := peer.socket.recv(65_536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    heads[event.stream_id] = [(str(name), str(value)) for name, value in event.headers]
                    bodies[event.stream_id] = bytearray()
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    self._respond(connection, event.stream_id, heads[event.stream_id], bytes(bodies[event.stream_id]))
            peer.send(connection.data_to_send())

    def _respond(self, connection: H2Connection, stream: int, head: list[tuple[str, str]], body: bytes) -> None:
        pseudo = {name: value for name, value in head if name.startswith(":")}
        fields = {"host": pseudo[":authority"]}
        for name, value in head:
            if not name.startswith(":"):
                fields[name] = ",".join(filter(None, (fields.get(name), value)))
        assert int(fields.get("content-length", len(body))) == len(body)
        status, date, answer = self.answer(Seen(f"{pseudo[':method']} {pseudo[':path']} HTTP/2", fields, body))
        connection.send_headers(stream, [(":status", str(status)), ("date", date)])
        connection.send_data(stream, answer, end_stream=True)
