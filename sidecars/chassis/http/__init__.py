"""A small HTTP/1.1 server, a small HTTP/1.1 client, and TLS for both.

The server answers probes and scrapes: the admin endpoints of each sidecar and the routes of the adapter. The client
asks one place again and again: the app behind the adapter, or a receiver of the logshipper. The data path of the
ambassador uses neither; it has a protocol of its own.

    sockets ── package accept ──▶ server_connection ──▶ Request ──▶ handler ──▶ Response
                  (tls)             (h11, limits)        (messages)

    request ── client ──▶ connection (tls) ──▶ response_parser (h11, limits) ──▶ ClientResponse

Begin with `server`: its docstring has the states of a connection. `response_parser` has the limits of a response that
a peer sends.

messages           Request, Response and ClientLimits of the server
server             the server: listeners, deadlines, drain
server_connection  one connection of a client, from its first byte to its end
streaming_connection  the same, for responses that come in pieces
client             the client, with kept connections
response_parser    one response from bytes that may be hostile
connecting         connections, also if there is no free descriptor. proxy: those through a proxy
tls                TLS contexts from files that are replaced while the process runs
error_reasons      errors of the system and of OpenSSL in words. peer_text: those of a peer, made safe to show
accept_header, authorization, host_header, retry_after    single header fields
"""
