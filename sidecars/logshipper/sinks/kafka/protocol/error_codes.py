"""The error codes of Kafka's protocol: their names, and the meaning of each for a sink.

https://kafka.apache.org/protocol#protocol_error_codes

| meaning | next |
|---|---|
| `MOVED` | the broker is not the right one, or not now: it is looked up again, and the batch is sent again |
| `LATER` | the broker is busy: the batch is sent again |
| `SESSION` | the producer's id or epoch is not valid any more: a new one is asked for, and the batch is sent again |
| `FENCED` | another producer may have the transactional id: the group's metadata tells |
| `PEOPLE` | somebody has to create, allow or configure something: the batch is sent again until then |
| `TOO_LARGE` | the record batch is sent as two |
| `RECORDS` | records are not accepted: the broker names them, or the record batch is sent as two |
| `TIMESTAMPS` | times of records are not accepted: these records get the batch's time |

An unknown code means `LATER`.
"""

from __future__ import annotations

MOVED, LATER, SESSION, FENCED, PEOPLE, TOO_LARGE, RECORDS, TIMESTAMPS = range(8)

NONE = 0
UNKNOWN_TOPIC = 3
UNSUPPORTED_VERSION = 35
DUPLICATE_SEQUENCE = 46
CONCURRENT_TRANSACTIONS = 51
UNSTABLE_OFFSET_COMMIT = 88

CODES: dict[int, tuple[str, int]] = {
    -1: ("UNKNOWN_SERVER_ERROR", LATER),
    2: ("CORRUPT_MESSAGE", LATER),
    3: ("UNKNOWN_TOPIC_OR_PARTITION", PEOPLE),
    5: ("LEADER_NOT_AVAILABLE", MOVED),
    6: ("NOT_LEADER_OR_FOLLOWER", MOVED),
    7: ("REQUEST_TIMED_OUT", LATER),
    8: ("BROKER_NOT_AVAILABLE", MOVED),
    9: ("REPLICA_NOT_AVAILABLE", MOVED),
    10: ("MESSAGE_TOO_LARGE", TOO_LARGE),
    12: ("OFFSET_METADATA_TOO_LARGE", PEOPLE),
    13: ("NETWORK_EXCEPTION", MOVED),
    14: ("COORDINATOR_LOAD_IN_PROGRESS", LATER),
    15: ("COORDINATOR_NOT_AVAILABLE", MOVED),
    16: ("NOT_COORDINATOR", MOVED),
    17: ("INVALID_TOPIC_EXCEPTION", PEOPLE),
    18: ("RECORD_LIST_TOO_LARGE", TOO_LARGE),
    19: ("NOT_ENOUGH_REPLICAS", LATER),
    20: ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", LATER),
    21: ("INVALID_REQUIRED_ACKS", PEOPLE),
    24: ("INVALID_GROUP_ID", PEOPLE),
    29: ("TOPIC_AUTHORIZATION_FAILED", PEOPLE),
    30: ("GROUP_AUTHORIZATION_FAILED", PEOPLE),
    31: ("CLUSTER_AUTHORIZATION_FAILED", PEOPLE),
    32: ("INVALID_TIMESTAMP", TIMESTAMPS),
    33: ("UNSUPPORTED_SASL_MECHANISM", PEOPLE),
    34: ("ILLEGAL_SASL_STATE", PEOPLE),
    35: ("UNSUPPORTED_VERSION", PEOPLE),
    42: ("INVALID_REQUEST", PEOPLE),
    43: ("UNSUPPORTED_FOR_MESSAGE_FORMAT", PEOPLE),
    44: ("POLICY_VIOLATION", PEOPLE),
    45: ("OUT_OF_ORDER_SEQUENCE_NUMBER", SESSION),
    46: ("DUPLICATE_SEQUENCE_NUMBER", SESSION),
    47: ("INVALID_PRODUCER_EPOCH", FENCED),
    48: ("INVALID_TXN_STATE", SESSION),
    49: ("INVALID_PRODUCER_ID_MAPPING", SESSION),
    50: ("INVALID_TRANSACTION_TIMEOUT", PEOPLE),
    51: ("CONCURRENT_TRANSACTIONS", LATER),
    52: ("TRANSACTION_COORDINATOR_FENCED", MOVED),
    53: ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", PEOPLE),
    54: ("SECURITY_DISABLED", PEOPLE),
    56: ("KAFKA_STORAGE_ERROR", MOVED),
    58: ("SASL_AUTHENTICATION_FAILED", PEOPLE),
    59: ("UNKNOWN_PRODUCER_ID", SESSION),
    72: ("LISTENER_NOT_FOUND", MOVED),
    74: ("FENCED_LEADER_EPOCH", MOVED),
    75: ("UNKNOWN_LEADER_EPOCH", MOVED),
    76: ("UNSUPPORTED_COMPRESSION_TYPE", PEOPLE),
    87: ("INVALID_RECORD", RECORDS),
    88: ("UNSTABLE_OFFSET_COMMIT", LATER),
    89: ("THROTTLING_QUOTA_EXCEEDED", LATER),
    90: ("PRODUCER_FENCED", FENCED),
    120: ("TRANSACTION_ABORTABLE", SESSION),
}

_CURES = {
    3: "create the topic: topics are not created by logshipper",
    10: "raise max.message.bytes of the topic",
    29: "allow Write and Describe on the topic, and Read with transactions",
    30: "allow Read on the group of the transactional id",
    31: "allow IdempotentWrite on the cluster",
    35: "the brokers are older than 2.1",
    43: "the topic keeps an old message format",
    50: "transaction.max.timeout.ms of the brokers is shorter than REQUEST_TIMEOUT",
    53: "allow Write and Describe on the transactional id",
    58: "the credentials are not accepted",
    76: "choose another COMPRESSION",
}
"""What to do about an error that people have to repair."""


def meaning(code: int) -> int:
    """Return the meaning of the code for a sink, one of the constants above."""
    return CODES[code][1] if code in CODES else LATER


def describe(code: int) -> str:
    """Return the name of the code, and its cure."""
    name = CODES[code][0] if code in CODES else f"error {code}"
    cure = _CURES.get(code)
    return f"{name} ({cure})" if cure else name


class BrokerError(Exception):
    """A broker's response has an error code. `about`: the topic, group or request that it is about."""

    def __init__(self, code: int, about: str, message: str = "") -> None:
        self.code = code
        self.meaning = meaning(code)
        self.reason = f"{about}: {describe(code)}" + (f": {message}" if message else "")
        super().__init__(self.reason)
