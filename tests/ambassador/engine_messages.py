"""Messages of the Docker engine's clients, which ask for an upgrade with a request that has a body."""

from __future__ import annotations

FIELDS = b"Host: docker\r\nContent-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
BODY = b'{"Detach":false,"Tty":false}'
SIZED = b"POST /v1.45/exec/x/start HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (FIELDS, len(BODY), BODY)
CHUNKS = b"POST /v1.45/exec/x/start HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
    FIELDS,
    len(BODY),
    BODY,
)
RAW = b"application/vnd.docker.raw-stream"
SWITCHED = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: %b\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" % RAW
