"""The rules in force, read again when their file changes.

A new file may be unusable: gone, not text, with a bad rule, or one that ends in a defect of the adapter. Then the
earlier rules stay in force. The problem is logged once, and stands in `/status` and `adapter_rules_current` until the
file can be used again. The file is checked at each access to the rules or to the problem, so neither is ever about an
older file. New rules begin without a history.
"""

from __future__ import annotations

import errno
import os

from sidecars.adapter.rules.lexer import BadRule
from sidecars.adapter.rules.rule import MAX_LENGTH, parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator
from sidecars.adapter.setting_types import RulesText
from sidecars.chassis.config.setting_types import format_size
from sidecars.chassis.runtime import file_io, logs

log = logs.get("rules")

_MAX_BYTES = 4 * MAX_LENGTH  # bytes of a file of rules: a character has four at most

_Stamp = tuple[int, int, int, int] | None
_NEVER: _Stamp = (0, 0, 0, 0)  # before the first check: the file may have changed since the settings were read


class UnusableFile(Exception):
    """The file holds no rules. The text is a phrase."""


class ReloadingRules:
    """The rules of one app request, from a setting or from a file. Owned by a judge."""

    def __init__(self, rules: RulesText, variable: str) -> None:
        self._variable = f"{variable}_FILE"
        self._file = rules.file
        self._text = rules.text
        self._seen = _NEVER
        self._evaluator = RuleEvaluator(parse_rules(rules.text))
        self._problem = ""

    def evaluator(self) -> RuleEvaluator:
        """Return the evaluator of the rules in force."""
        self._reload_if_changed()
        return self._evaluator

    @property
    def problem(self) -> str:
        """The reason why the present file is not in force; "" if it is."""
        self._reload_if_changed()
        return self._problem

    def _reload_if_changed(self) -> None:
        """Read the file again if it has changed. Never raises."""
        if not self._file:
            return
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._reload()
        except (UnusableFile, BadRule) as error:
            self._keep_earlier(str(error))
        except Exception as error:  # noqa: BLE001 - the rules in force stay whatever is in the file; the log has the defect
            log.defect("a defect while reading rules: please report the traceback", error)
            self._keep_earlier(f"it cannot be used: {type(error).__name__}")

    def _reload(self) -> None:
        """Put the file's rules in force. Raises UnusableFile and BadRule."""
        text = _read_text(self._file)
        rules = parse_rules(text)
        if text != self._text:
            evaluator = RuleEvaluator(rules)
            self._text, self._evaluator = text, evaluator
            log.info("new rules are in force", file=self._file, rules=[rule.name for rule in rules])
        self._problem = ""

    def _keep_earlier(self, reason: str) -> None:
        self._problem = f"{self._variable}={self._file}: {reason}"
        log.error(
            "the new rules cannot be used; the earlier ones stay in force",
            code="rules-not-reloaded",
            reason=self._problem,
        )

    def _stamp(self) -> _Stamp:
        """Return a value that differs after each change of the file: from its `stat`, or from the error of `stat`."""
        try:
            status = os.stat(self._file)  # noqa: PTH116 - a stat is all that is wanted
        except OSError as error:
            return error.errno or -1, 0, 0, 0
        except ValueError:  # a name that no file can have
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read_text(path: str) -> str:
    """Return the file's text. Raises UnusableFile. A pipe or a device is refused, since reading it could block."""
    try:
        content = file_io.read_small(path, _MAX_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise UnusableFile(f"it is larger than {format_size(_MAX_BYTES)}") from None
        raise UnusableFile(f"it cannot be read: {error.strerror}") from None
    try:
        return content.decode().replace("\r\n", "\n").replace("\r", "\n").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UnusableFile("it is not UTF-8 text") from None
