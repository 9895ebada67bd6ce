"""Secrets that are cut in two by the end of a chunk or of an event: the second part does not leave either."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.pipeline import Pipeline
from sidecars.logshipper.transform.redaction import pem_keys
from tests.logshipper.pipelines import make_pipeline as make_new_pipeline
from tests.logshipper.pod import Pod
from tests.logshipper.support import a_chunk, append

make_pipeline = lru_cache(make_new_pipeline)  # regexes take a while
KINDS = ["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]


def key_lines(size: int, kind: str = "RSA PRIVATE KEY") -> list[str]:
    body = base64.b64encode(random.Random(size).randbytes(size)).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return [f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"]


def shipped(pipe: Pipeline, data: bytes, cuts: list[int]) -> list[str]:
    """Return the texts of all events of the data, which is cut into chunks there."""
    edges = [0, *sorted(set(cuts) - {0, len(data)}), len(data)]
    texts: list[str] = []
    for start, end in pairwise(edges):
        chunk = a_chunk(data[start:end], start, partial=data[end - 1 : end] != b"\n")
        before = data[max(0, start - pem_keys.CONTEXT) : start]
        texts += pipe.process(replace(chunk, before=before)).bodies
    return texts


FORMATS: dict[str, tuple[dict[str, str], Callable[[str, int], str]]] = {
    "lines": ({}, lambda line, _: line),
    "JSON": ({"FORMAT": "json"}, lambda line, at: json.dumps({"level": "INFO", "n": at, "message": line})),
    "CRI": ({"FORMAT": "cri"}, lambda line, _: f"2024-01-01T10:00:00.000000000Z stdout F {line}"),
    "Java events": ({"MULTILINE": "java"}, lambda line, _: line),
    "small events": ({"MULTILINE": "indent", "MAX_LINE_SIZE": "1KiB"}, lambda line, at: line if at < 3 else f" {line}"),
}


@pytest.mark.parametrize("form", FORMATS)
@given(
    st.integers(20, 900),
    st.sampled_from(KINDS),
    st.lists(st.integers(0, 40), max_size=3),
    st.lists(st.integers(0, 40), max_size=3),
)
def test_no_line_of_a_key_leaves_wherever_the_chunks_end(
    form: str, size: int, kind: str, others: list[int], cuts: list[int]
) -> None:
    settings, write = FORMATS[form]
    key = key_lines(size, kind)
    secret = set(key[1:-1])
    for at in others:
        key.insert(min(at, len(key)), "an innocent line")
    lines = ["before it", *key, "INFO", "after it"]
    written = [write(line, at) + "\n" for at, line in enumerate(lines)]
    ends = [sum(map(len, written[:number])) for number in range(len(written) + 1)]
    texts = "\n".join(
        shipped(
            make_pipeline(REDACT="secrets", **settings),
            "".join(written).encode(),
            [ends[min(cut, len(lines))] for cut in cuts],
        )
    )
    assert not [line for line in secret if line in texts]
    ends_of_key = [at for at, line in enumerate(key) if line.startswith("-----")]
    inside = (
        key[slice(*ends_of_key)].count("an innocent line") if "MULTILINE" in settings else 0
    )  # an event loses all of its key
    assert len(others) - inside <= texts.count("an innocent line") <= len(others)
    assert texts.count("INFO") >= 1
    assert "before it" in texts
    assert "after it" in texts


SECRETS = {
    "password=hunter2-and-more": "hunter2-and-more",
    '{"password": "hunter2-and-more"}': "hunter2-and-more",
    "GET /x?token=abcdef-ghij&user=bob": "abcdef-ghij",
    "key AKIAIOSFODNN7EXAMPLE is used": "AKIAIOSFODNN7EXAMPLE",
    "Authorization: Bearer abcdefghijklmnop": "abcdefghijklmnop",
    "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P end":
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "at https://bob:hunter2pass@host/": "hunter2pass",
    "Cookie: session=abcdefgh; b=c": "session=abcdefgh; b=c",
}  # fmt: skip


@pytest.mark.parametrize("line", SECRETS)
def test_the_rest_of_a_secret_does_not_leave_wherever_a_piece_of_its_line_ends(line: str) -> None:
    secret = SECRETS[line]
    begin = line.index(secret)
    data, pipe = f"before\n{line}\nafter\n".encode(), make_pipeline(REDACT="secrets")
    for cut in range(1, len(line)):
        texts = shipped(pipe, data, [len("before\n") + cut])
        assert (texts[0], texts[-1]) == ("before", "after")
        rest = secret[max(0, cut - begin) :]
        assert len(rest) < 3 or rest not in texts[2], (line, cut, texts)


def test_a_text_that_continues_no_secret_stays() -> None:
    data = b"a long line of words and numbers 12345 without any secret\n"
    for cut in range(1, len(data) - 1):
        assert "".join(shipped(make_pipeline(REDACT="secrets"), data, [cut])) == data.decode().rstrip("\n")


def test_a_key_that_is_written_line_by_line_is_redacted_by_a_running_shipper_and_after_kill_nine(
    tmp_path: Path,
) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_REDACT="secrets")
    begin, *body, end = key_lines(700)
    texts: list[str] = []
    for line in [begin, *body, end, "word"]:
        append(pod.log, f"{line}\n")
        pod.look()
        batch = pod.send("default", pod.queues["default"].collect(10_000))
        texts += [text for records in batch.content.records for text in records.bodies]
        pod.settle(batch)
    assert texts == ["[apikey]"] * (1 + len(body)) + [end, "word"]
