"""Uploads of objects: one PUT for a small one, parts for a large one. Each ends as a whole object, or as none.

The request that makes the object has the condition that there is none of this key (`If-None-Match: *`). So a request
whose answer was lost is answered with 412 when it is repeated, which is a yes. A store that does not know conditions
overwrites the object with the same lines.

An upload of parts that does not end is aborted: after an error, and when the process is told to stop. After kill -9 its
parts stay; a rule of the bucket removes them (AbortIncompleteMultipartUpload).
"""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from urllib.parse import urlencode

from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.identity.aws_signature import encoded
from sidecars.chassis.identity.xml_elements import element
from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.record_thread import beside_the_loop
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.s3 import answers
from sidecars.logshipper.sinks.s3.answers import Answer
from sidecars.logshipper.sinks.s3.object_keys import content_fields
from sidecars.logshipper.sinks.s3.store import Store

log = logs.get("s3")

PART = 8 * 2**20
"""Bytes of an object that is sent in one request, and of each part of a larger one. Parts have at least 5 MiB."""

_TRIES = 6  # requests that follow each other at once, before the pause of a retry
_ABORT_TIMEOUT = 2.0  # seconds
_XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
_CONDITION = ("If-None-Match", "*")


class _BeginAgain(Exception):
    """The upload of parts is over without an object: another one is begun at once."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request: its `query` as it is sent, and its place in an upload."""

    method: str
    key: str
    query: str = ""
    fields: Sequence[tuple[str, str]] = ()
    blocks: Sequence[bytes] = ()
    makes_object: bool = False  # True if it has the condition
    is_in_upload: bool = False  # True if it belongs to an upload of parts, which may be over


class Uploader:
    """Uploads the objects of one sink, which owns it."""

    def __init__(self, store: Store, sink: SinkSettings) -> None:
        self._store = store
        self._name = sink.name
        self._names_encoding = sink.sink_content_encoding
        self._options = list(_options(sink))
        self._condition = [_CONDITION]  # empty once the store was found not to know it
        self._checksums = sink.sink_checksum != "none"
        self._may_omit_checksums = sink.sink_checksum == "auto"
        self._open: set[tuple[str, str]] = set()  # key and id of uploads of parts

    async def store(self, key: str, pieces: Sequence[bytes], compression: str) -> None:
        """Store the object. `compression`: that of the pieces.

        Raises RetryLater or BatchTooLarge: there is no object then, or the whole one.
        """
        fields = [*content_fields(compression, encoding=self._names_encoding), *self._options]
        if sum(map(len, pieces)) <= PART:
            await self._send(_Call("PUT", key, fields=fields, blocks=pieces, makes_object=True))
            return
        for _ in range(_TRIES):
            with contextlib.suppress(_BeginAgain):
                await self._store_in_parts(key, pieces, fields)
                return
        raise RetryLater("the store ends each upload of parts before it is complete")

    async def close(self) -> None:
        """Abort the uploads that were not completed."""
        for key, upload in list(self._open):
            await self._abort(key, upload)

    # -- parts ---------------------------------------------------------------------------------------------------------

    async def _store_in_parts(self, key: str, pieces: Sequence[bytes], fields: Sequence[tuple[str, str]]) -> None:
        checksums = self._checksums
        fields = [*fields, *([("x-amz-checksum-algorithm", "SHA256")] if checksums else [])]
        response = await self._send(_Call("POST", key, "?uploads=", fields))
        upload = element(response.body, "UploadId")
        if not upload:
            raise RetryLater("the store's answer to the beginning of an upload has no UploadId")
        self._open.add((key, upload))
        try:
            parts = [
                await self._store_part(key, upload, number, blocks, checksums=checksums)
                for number, blocks in enumerate(_parts(pieces), 1)
            ]
            response = await self._complete(key, upload, parts)
        except BaseException:
            await self._abort(key, upload)
            raise
        if response.status == 412:
            await self._abort(key, upload)  # the object is from an earlier upload
        else:
            self._open.discard((key, upload))

    async def _store_part(self, key: str, upload: str, number: int, blocks: list[bytes], *, checksums: bool) -> str:
        """Store one part, and return its entry in the completion."""
        query = f"?partNumber={number}&uploadId={encoded(upload)}"
        response = await self._send(_Call("PUT", key, query, blocks=blocks, is_in_upload=True))
        tag = response.headers.get("etag")
        if not tag:
            raise RetryLater("the store's answer to a part has no ETag")
        checksum = f"<ChecksumSHA256>{_base64(_digest(blocks))}</ChecksumSHA256>" if checksums else ""
        return f"<Part>{checksum}<ETag>{escape(tag)}</ETag><PartNumber>{number}</PartNumber></Part>"

    async def _complete(self, key: str, upload: str, parts: Sequence[str]) -> ClientResponse:
        document = f'<CompleteMultipartUpload xmlns="{_XMLNS}">{"".join(parts)}</CompleteMultipartUpload>'
        query, fields = f"?uploadId={encoded(upload)}", [("Content-Type", "application/xml")]
        return await self._send(
            _Call("POST", key, query, fields, [document.encode()], makes_object=True, is_in_upload=True)
        )

    async def _abort(self, key: str, upload: str) -> None:
        """Remove the parts of an upload. Parts that cannot be removed are left to the bucket's rule."""
        try:
            async with asyncio.timeout(_ABORT_TIMEOUT):
                await self._store.send("DELETE", key, f"?uploadId={encoded(upload)}", [], [])
        except (RetryLater, TimeoutError) as error:
            log.warning(
                "the parts of an upload could not be removed",
                code="upload-not-aborted",
                sink=self._name,
                reason=str(error) or "no response in time",
            )
        self._open.discard((key, upload))

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _send(self, call: _Call) -> ClientResponse:
        """Send a request until the store has taken it, or refuses it for a reason that is not mended here.

        Raises RetryLater, BatchTooLarge, and _BeginAgain.
        """
        digest = await beside_the_loop(sum(map(len, call.blocks)), _digest, call.blocks)
        reason, rejected = "", None
        for _ in range(_TRIES):
            fields = [*call.fields]
            if call.method == "PUT" and self._checksums:
                fields.append(("x-amz-checksum-sha256", _base64(digest)))
            if call.makes_object:
                fields += self._condition
            response, keys = await self._store.send(
                call.method, call.key, call.query, fields, call.blocks, digest.hex()
            )
            answer = answers.meaning(response)
            if answer is Answer.STORED:
                return response
            reason = answers.reason(response)
            if answer is Answer.AGAIN and call.is_in_upload:
                raise _BeginAgain
            if answer is Answer.OTHER_KEYS and keys != rejected:
                self._store.reject(keys)
                rejected = keys
            elif answer is Answer.OTHER_CLOCK and self._store.take_clock(response):
                continue
            elif answer is not Answer.AGAIN and not self._leave_out(answer, call):
                break
        raise RetryLater(reason)

    def _leave_out(self, answer: Answer, call: _Call) -> bool:
        """Leave out a header that the store does not know. Return False if it is another error. Raises _BeginAgain."""
        if answer is Answer.WITHOUT_CONDITION and call.makes_object and self._condition:
            self._condition = []
            log.info("the store knows no conditions: objects are overwritten by the same lines", sink=self._name)
            return True
        if answer is Answer.WITHOUT_CHECKSUM and self._checksums and self._may_omit_checksums:
            self._checksums = False
            log.info("the store knows no checksums: the signature alone has the body's hash", sink=self._name)
            if call.query:
                raise _BeginAgain
            return True
        return False


def _options(sink: SinkSettings) -> Iterator[tuple[str, str]]:
    """Yield the header fields of an object that the settings ask for."""
    if sink.sink_storage_class:
        yield "x-amz-storage-class", sink.sink_storage_class
    if sink.sink_tags:
        yield "x-amz-tagging", urlencode(sink.sink_tags)
    if sink.sink_acl:
        yield "x-amz-acl", sink.sink_acl
    if sink.sink_sse:
        yield "x-amz-server-side-encryption", sink.sink_sse
    if sink.sink_sse_kms_key_id:
        yield "x-amz-server-side-encryption-aws-kms-key-id", sink.sink_sse_kms_key_id


def _parts(pieces: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield the blocks of each part: PART bytes, and the rest in the last one."""
    blocks: list[bytes] = []
    size = 0
    for piece in pieces:
        view = piece
        while size + len(view) >= PART:
            cut = PART - size
            yield [*blocks, view[:cut]]
            blocks, size, view = [], 0, view[cut:]
        if view:
            blocks.append(view)
            size += len(view)
    if blocks:
        yield blocks


def _digest(blocks: Sequence[bytes]) -> bytes:
    digest = sha256()
    for block in blocks:
        digest.update(block)
    return digest.digest()


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode()
