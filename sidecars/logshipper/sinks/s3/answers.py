"""The meanings of an object store's answers. Pure.

| answer | meaning | next |
|---|---|---|
| 200 | stored; of the completion of parts only without an Error in the body | `STORED` |
| 412 PreconditionFailed | the object is there, and an object is whole: an earlier request was accepted | `STORED` |
| 409 ConditionalRequestConflict, OperationAborted | another request for this key is under way | `AGAIN` |
| 404 NoSuchUpload | the upload of parts has ended: it was completed, or removed | `AGAIN` |
| 501, or 400 that names If-None-Match | the store knows no conditions | `WITHOUT_CONDITION` |
| 501 or 400 that names the checksum | the store knows no checksums | `WITHOUT_CHECKSUM` |
| 403 RequestTimeTooSkewed | this clock differs from the store's | `OTHER_CLOCK` |
| ExpiredToken, InvalidToken, InvalidAccessKeyId … | the credentials have ended | `OTHER_KEYS` |
| 413, EntityTooLarge | the object is too large | raises `BatchTooLarge` |
| 503 SlowDown, 5xx, RequestTimeout, BadDigest … | the store takes nothing now | raises `RetryLater` |
| 301, 307, AuthorizationHeaderMalformed | the bucket is in another region | raises `RetryLater`, naming it |
| NoSuchBucket, AccessDenied, any other | people have to repair it | raises `RetryLater`, with advice |

No line is ever the cause of an error, so nothing but the size of an object is refused for good.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from enum import Enum, auto

from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.peer_text import sanitized
from sidecars.chassis.identity.xml_elements import element
from sidecars.logshipper.sinks.base import BatchTooLarge, RetryLater
from sidecars.logshipper.sinks.protocols.http_outcome import requested_delay


class Answer(Enum):
    """An answer after which the upload goes on at once."""

    STORED = auto()
    AGAIN = auto()
    WITHOUT_CONDITION = auto()
    WITHOUT_CHECKSUM = auto()
    OTHER_CLOCK = auto()
    OTHER_KEYS = auto()


_KEYS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"}
)
_UNDER_WAY = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_TOO_LARGE = frozenset({"EntityTooLarge", "MaxMessageLengthExceeded"})
_UNKNOWN_FEATURE = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest", "XNotImplemented", ""})
_REMEDIES = {
    "NoSuchBucket": "the bucket is not there: make it, or set SINK",
    "AccessDenied": "the credentials need s3:PutObject for the prefix",
    "AllAccessDisabled": "the bucket is disabled",
    "SignatureDoesNotMatch": "is the secret key right?",
    "AccessControlListNotSupported": "the bucket takes no ACLs: unset SINK_ACL",
    "InvalidStorageClass": "the store does not know SINK_STORAGE_CLASS",
    "KMS.NotFoundException": "is SINK_SSE_KMS_KEY_ID right?",
    "KMS.DisabledException": "the key of SINK_SSE_KMS_KEY_ID is disabled",
    "RequestTimeTooSkewed": "is this machine's clock right?",
}


def meaning(response: ClientResponse) -> Answer:
    """Return the meaning of the answer to a request that stores something. Raises BatchTooLarge or RetryLater."""
    code = error_code(response)
    status = response.status
    if 200 <= status < 300 and code is None:
        if response.early:
            raise RetryLater(f"the store answered with {status} before it had the whole object")
        return Answer.STORED
    if status == 412:
        return Answer.STORED
    found = code or ""
    if found in _UNDER_WAY or (status == 409 and not found) or found == "NoSuchUpload":
        return Answer.AGAIN
    if (unknown := _unknown_feature(response, found)) is not None:
        return unknown
    if found == "RequestTimeTooSkewed" and response.headers.get("date"):
        return Answer.OTHER_CLOCK
    if found in _KEYS:
        return Answer.OTHER_KEYS
    if status == 413 or found in _TOO_LARGE:
        raise BatchTooLarge("the object is too large for the store")
    raise RetryLater(reason(response), requested_delay(response))


def error_code(response: ClientResponse) -> str | None:
    """Return the code of an error; None if the answer is none. A 200 may have an error in its body."""
    is_success = 200 <= response.status < 300
    if is_success and b"<Error" not in response.body[:1024]:
        return None
    return element(response.body, "Code") or ("InternalError" if is_success else "")


def reason(response: ClientResponse) -> str:
    """Return a sentence about an answer that is an error."""
    code, message = element(response.body, "Code") or "", element(response.body, "Message") or ""
    words = sanitized(f"{code}: {message}".strip(": "))
    said = f"the store answered with {response.status}" + (f": {words}" if words else "")
    region = response.headers.get("x-amz-bucket-region") or element(response.body, "Region")
    if region and (response.status in (301, 307) or code == "AuthorizationHeaderMalformed"):
        return f"{said} (the bucket is in the region {sanitized(region)}: set SINK_REGION)"
    if response.status in (301, 307):
        return f"{said} (the bucket has another address: is SINK_REGION or SINK_ENDPOINT right?)"
    if code in _REMEDIES:
        return f"{said} ({_REMEDIES[code]})"
    if response.status == 403:
        return f"{said} ({_REMEDIES['AccessDenied']})"
    if response.status == 404:
        return f"{said} (is the bucket there? SINK_PATH_STYLE says where its name is sent)"
    return said


def _unknown_feature(response: ClientResponse, code: str) -> Answer | None:
    """Return the part of the request to leave out, if the store does not know it; None if it is another error."""
    if response.status not in (400, 501) or code not in _UNKNOWN_FEATURE:
        return None
    text = " ".join(filter(None, (element(response.body, "Message"), element(response.body, "Header")))).lower()
    named = text + " " + (element(response.body, "ArgumentName") or "").lower()
    if "checksum" in named:
        return Answer.WITHOUT_CHECKSUM
    if "if-none-match" in named or response.status == 501:
        return Answer.WITHOUT_CONDITION
    return None
