"""SETTINGS: those that the peer has announced, and ours (RFC 9113 section 6.5)."""

from __future__ import annotations

import struct
from typing import Final

from sidecars.ambassador.http2.frames import (
    FIRST_WINDOW,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    PROTOCOL_ERROR,
    ProtocolError,
    settings_frame,
)

ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE_SETTING: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
ENABLE_CONNECT_PROTOCOL: Final = 0x8  # RFC 8441
NO_RFC7540_PRIORITIES: Final = 0x9  # RFC 9218

_UNLIMITED: Final = 2**32 - 1
_LARGEST_FRAME: Final = 2**24 - 1
_pairs: Final = struct.Struct(">HL").iter_unpack


class PeerSettings:
    """The settings of the peer, as far as we need them.

    We never send a frame of more than 16 KiB, never use its dynamic table, and never push: so its other settings change
    nothing.
    """

    __slots__ = ("allows_connect", "first_window", "is_known", "max_streams")

    def __init__(self) -> None:
        self.is_known = False  # True once SETTINGS came
        self.max_streams: int = _UNLIMITED  # that we may open at once
        self.first_window: int = FIRST_WINDOW
        self.allows_connect = False  # extended CONNECT, RFC 8441

    def apply(self, payload: bytes, *, of_server: bool) -> None:  # noqa: C901 - a list of settings
        """Apply a SETTINGS frame, its values in their order. `of_server` is True in the client role.

        Raises ProtocolError.
        """
        if len(payload) % 6:
            raise ProtocolError(FRAME_SIZE_ERROR, "SETTINGS have a part of an entry")
        self.is_known = True
        for identifier, value in _pairs(payload):
            if identifier == MAX_CONCURRENT_STREAMS:
                self.max_streams = value
            elif identifier == INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    raise ProtocolError(FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is too large")
                self.first_window = value
            elif identifier == ENABLE_PUSH:
                if value > 1 or (of_server and value):
                    raise ProtocolError(PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH has a value that is not allowed")
            elif identifier == MAX_FRAME_SIZE_SETTING:
                if value < MAX_FRAME_SIZE or value > _LARGEST_FRAME:
                    raise ProtocolError(PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE has a value that is not allowed")
            elif identifier == ENABLE_CONNECT_PROTOCOL:
                if value > 1 or (self.allows_connect and not value):
                    raise ProtocolError(PROTOCOL_ERROR, "SETTINGS_ENABLE_CONNECT_PROTOCOL is not allowed to be this")
                self.allows_connect = bool(value)


def our_settings(max_header_list_size: int, window: int, max_streams: int) -> bytes:
    """Return our SETTINGS; `max_streams` is 0 in the client role, in which the peer opens none."""
    settings = [(MAX_CONCURRENT_STREAMS, max_streams)] if max_streams else [(ENABLE_PUSH, 0)]
    settings += [
        (INITIAL_WINDOW_SIZE, window),
        (MAX_HEADER_LIST_SIZE, max_header_list_size),
        (NO_RFC7540_PRIORITIES, 1),
    ]
    return settings_frame(settings)
