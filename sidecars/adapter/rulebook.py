"""The rules that are in force, and what they need of the past. A file of rules is read again when it changes.

A new file that cannot be used (gone, or with a bad rule) leaves the earlier rules in force; that is logged once, and
stands in `/status` until the file is good again. New rules begin without a past.
"""

from __future__ import annotations

import os

from chassis import logs
from sidecars.adapter.choices import RulesText
from sidecars.adapter.evaluate import Evaluator
from sidecars.adapter.rules import BadRule, parse

log = logs.get("rules")

_Stamp = tuple[int, int, int, int] | None


class Rulebook:
    """An app's rules."""

    def __init__(self, rules: RulesText, variable: str) -> None:
        self._variable = f"{variable}_FILE"
        self._file = rules.file
        self._text = rules.text
        self._seen = self._stamp()
        self._evaluator = Evaluator(parse(rules.text))
        self.problem = ""
        """Why the file as it is now is not in force; "" when it is."""

    def evaluator(self) -> Evaluator:
        """The evaluator of the rules in force."""
        if self._file:
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                self._read_again()
        return self._evaluator

    def _read_again(self) -> None:
        try:
            with open(self._file, encoding="utf-8") as file:  # noqa: PTH123 - as chassis.settings reads it
                text = file.read().rstrip("\r\n")
            rules = parse(text)
        except OSError as error:
            self._keep(f"it cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._keep("it is not UTF-8 text")
        except BadRule as error:
            self._keep(str(error))
        else:
            self.problem = ""
            if text != self._text:
                self._text, self._evaluator = text, Evaluator(rules)
                log.info("new rules are in force", file=self._file, rules=[rule.name for rule in rules])

    def _keep(self, why: str) -> None:
        self.problem = f"{self._variable}={self._file}: {why}"
        log.error("the new rules cannot be used; the earlier ones stay in force", reason=self.problem)

    def _stamp(self) -> _Stamp:
        try:
            status = os.stat(self._file)  # noqa: PTH116 - a stat is all that is wanted
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
