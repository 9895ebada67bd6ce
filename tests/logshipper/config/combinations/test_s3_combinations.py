"""Settings of object stores that do not fit together, and the defaults that are theirs."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.settings import Settings

S3 = {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "s3://logs/prefix"}


def problems(**environ: str) -> list[str]:
    try:
        load(Settings, {**S3, **environ})
    except SettingsError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "LOGSHIPPER_SINK is in AWS, but LOGSHIPPER_SINK_REGION is not set"),
        ({"LOGSHIPPER_SINK_ENDPOINT": "https://minio/path"}, "LOGSHIPPER_SINK_ENDPOINT has a path"),
        (
            {"LOGSHIPPER_SINK_ENDPOINT": "http://minio", "LOGSHIPPER_SINK_CA": "/ca"},
            "LOGSHIPPER_SINK_CA is set, but LOGSHIPPER_SINK_ENDPOINT is without TLS",
        ),
        (
            {"AWS_REGION": "eu-west-1", "LOGSHIPPER_SINK_SSE": "AES256", "LOGSHIPPER_SINK_SSE_KMS_KEY_ID": "k"},
            "LOGSHIPPER_SINK_SSE_KMS_KEY_ID is set, but LOGSHIPPER_SINK_SSE is not aws:kms",
        ),
        (
            {"AWS_REGION": "eu-west-1", "LOGSHIPPER_SINK_SESSION_TOKEN": "t"},
            "LOGSHIPPER_SINK_SESSION_TOKEN is set, but LOGSHIPPER_SINK_USERNAME is not",
        ),
        (
            {
                "AWS_REGION": "eu-west-1",
                "LOGSHIPPER_SINK_CONTENT_ENCODING": "true",
                "LOGSHIPPER_COMPRESSION": "none",
            },
            "LOGSHIPPER_SINK_CONTENT_ENCODING is set, but LOGSHIPPER_COMPRESSION is none",
        ),
        (
            {"AWS_REGION": "eu-west-1", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://203.0.113.1/c"},
            "AWS_CONTAINER_CREDENTIALS_FULL_URI would send its token without encryption",
        ),
        (
            {"LOGSHIPPER_SINK": "http://h/", "LOGSHIPPER_BATCH_SIZE": "32MiB"},
            "LOGSHIPPER_BATCH_SIZE is more than 16MiB, which only s3 can have",
        ),
        (
            {"LOGSHIPPER_SINK": "http://h/", "LOGSHIPPER_BATCH_TIMEOUT": "5m"},
            "LOGSHIPPER_BATCH_TIMEOUT is more than 1m, which only s3 can have",
        ),
        (
            {"AWS_REGION": "eu-west-1", "https_proxy": "https://proxy:3128"},
            "is set as a proxy, and sinks use http:// proxies",
        ),
    ],
)
def test_what_does_not_fit_together_is_an_error(environ: dict[str, str], sentence: str) -> None:
    (problem,) = problems(**environ)
    assert sentence in problem


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("SINK", "s3://Logs", "expected s3://bucket[/prefix]"),
        ("SINK", "s3://logs:9000/p", "expected s3://bucket[/prefix]"),
        ("SINK", "s3://logs/../p", "expected s3://bucket[/prefix]"),
        ("SINK", "s3://logs/p?x", "expected s3://bucket[/prefix]"),
        ("SINK_OBJECT_KEY", "/%Y", "begins with no slash"),
        ("SINK_OBJECT_KEY", "a/../%Y", "neither . nor .."),
        ("SINK_OBJECT_KEY", "{batch_key}", "without {batch_key}"),
        ("SINK_OBJECT_KEY", "{a}" * 20, "of keys of 864 bytes at most"),
        ("SINK_OBJECT_KEY", "%Q", "expected"),
        ("SINK_STORAGE_CLASS", "a b", "expected a word"),
        ("SINK_TAGS", ",".join(f"k{number}=v" for number in range(11)), "expected at most 10 tags"),
        ("SINK_SSE", "none", "expected one of AES256, aws:kms, aws:kms:dsse"),
    ],
)
def test_a_value_that_cannot_be_is_an_error(variable: str, value: str, expected: str) -> None:
    (problem,) = problems(**{"AWS_REGION": "eu-west-1", f"LOGSHIPPER_{variable}": value})
    assert expected in problem


def test_batches_for_an_object_store_are_large_unless_the_settings_say_otherwise() -> None:
    environ = {
        "LOGSHIPPER_PATHS": "/logs/*.log",
        "AWS_REGION": "eu-west-1",
        "LOGSHIPPER_A_SINK": "s3://logs",
        "LOGSHIPPER_B_SINK": "s3://logs",
        "LOGSHIPPER_B_BATCH_SIZE": "512KiB",
        "LOGSHIPPER_C_SINK": "http://h/",
    }
    settings = load(Settings, environ)
    shown = effective(settings)
    fields = ("BATCH_SIZE", "BATCH_TIMEOUT", "COMPRESSION")
    assert [shown[f"LOGSHIPPER_A_{field}"] for field in fields] == ["32MiB", "5m", "gzip"]
    assert [shown[f"LOGSHIPPER_B_{field}"] for field in fields] == ["512KiB", "5m", "gzip"]
    assert [shown[f"LOGSHIPPER_C_{field}"] for field in fields] == ["512KiB", "1s", "none"]
    again = load(Settings, {name: value for name, value in shown.items() if value})
    assert effective(again) == shown
