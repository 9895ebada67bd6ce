"""Settings of a program that does not exist, with an example of each feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from sidecars.chassis.config.setting_types import (
    Secret,
    boolean,
    comma_separated,
    duration,
    integer,
    pairs,
    secret,
    size,
    text,
)
from sidecars.chassis.config.settings import ServiceSettings, SettingsError, group, load, setting
from sidecars.chassis.config.urls import Url, url
from sidecars.chassis.runtime.light_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shop:
    name: str
    upstream: Url = setting(url("http"), "where it is")
    timeout: float = setting(duration(), "how long", default="1s")
    connect_timeout: float = setting(duration(), "how long to connect", default="100ms")
    token: Secret | None = setting(secret, "who we are", default="")


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    PREFIX: ClassVar[str] = "DEMO"

    count: int = setting(integer(1, 10), "how many", default="3")
    eager: bool = setting(boolean, "whether", default="false")
    labels: dict[str, str] | None = setting(pairs(), "labels", default="")
    words: tuple[str, ...] = setting(comma_separated(text), "words", default="a,b")
    limit: int = setting(size(), "how much", default="64KiB")
    password: Secret | None = setting(secret, "the password", default="")
    shops: dict[str, Shop] = group(Shop, anchor="upstream")

    def check(self) -> Any:
        if self.count == 7:
            yield "DEMO_COUNT=7: seven is taken"


GOOD = {"DEMO_UPSTREAM": "http://shop"}


def no_file(name: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", name)


def loaded(environ: Mapping[str, str], files: Mapping[str, str] | None = None) -> Settings:
    found = dict(files or {})
    return load(Settings, {**GOOD, **environ}, lambda name: found[name] if name in found else no_file(name))


def problems(environ: Mapping[str, str], files: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(environ, files)
    return caught.value.problems
