"""Rules, judged over expositions."""

from __future__ import annotations

from sidecars.adapter import exposition, rules
from sidecars.adapter.evaluate import Evaluator

PAGE = b'queue_length{queue="a"} 3\nqueue_length{queue="b"} 12\n'


def test_a_rule_that_one_series_breaks_names_it() -> None:
    evaluator = Evaluator(rules.parse("length: queue_length < 10 warn"))

    (finding,) = evaluator.judge(exposition.parse(PAGE, "", 100), 0)

    assert (finding.name, finding.state, finding.value, finding.threshold) == ("length", "warn", 12, 10)
    assert finding.series == 'queue_length{queue="b"}'
