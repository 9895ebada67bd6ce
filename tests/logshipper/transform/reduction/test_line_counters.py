"""Counters from lines: which events they count, what their labels show, and what a hostile app can do with them."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import load
from sidecars.logshipper.model.records import Match
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.transform.pipeline import Pipeline
from sidecars.logshipper.transform.reduction.line_counters import LONGEST_VALUE, MOST_VALUES, LineCounters, parse_count
from sidecars.logshipper.transform.reduction.match_totals import MatchTotals
from tests.logshipper.pipelines import make_pipeline, records_of
from tests.logshipper.support import a_chunk

ANSWERS = r'answers=/" (?P<status>[1-5]\d\d) /'


def answers(**counts: int) -> dict[Match, int]:
    return {Match("answers", "status", value.removeprefix("_")): count for value, count in counts.items()}


def test_each_counter_counts_the_events_in_which_its_regex_is_found() -> None:
    text = "ERROR took 5 ms\nERROR took 50000 ms ERROR\nERRORS\n"
    records = records_of(text, COUNT=r"errors=/\bERROR\b/, slow=/took (\d{4,}) ms/")
    assert records.matches == {Match("errors"): 2, Match("slow"): 1}


def test_a_regex_may_have_commas_and_slashes() -> None:
    assert [(rule.name, rule.pattern) for rule in parse_count(r"a=/x{1,2},b=/,c=/\/api\//")] == [
        ("a", "x{1,2},b="),
        ("c", "/api/"),
    ]


def test_events_that_are_not_shipped_are_counted_too() -> None:
    text = "".join(f"GET /healthz {number}\n" for number in range(100))
    for settings in ({"DROP": "healthz"}, {"KEEP": "x"}, {"SAMPLE": "1000"}):
        records = records_of(text, COUNT="health=/healthz/", **settings)
        assert len(records.bodies) < 10
        assert records.matches == {Match("health"): 100}


def test_a_named_group_is_a_label() -> None:
    text = '"GET /" 200 1\n"GET /" 200 2\n"GET /" 503 3\n"GET /" 999 4\n'
    assert records_of(text, COUNT=ANSWERS).matches == answers(_200=2, _503=1)
    without = records_of("took ms\ntook 5 ms\n", COUNT=r"took=/took (?P<n>\d+)? ?ms/")
    assert without.matches == {Match("took", "n", ""): 1, Match("took", "n", "5"): 1}


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=100), max_size=60))
def test_a_hostile_app_gets_few_short_printable_values_and_every_event_is_counted(texts: list[str]) -> None:
    counters = LineCounters("all=/^(?P<text>.*)$/")
    found: Counter[Match] = Counter()
    for text in texts:
        found.update(counters.count([text], lambda _, text=text: [text]))  # type: ignore[misc] # bound here
    assert sum(found.values()) == len(texts)
    assert len({match.value for match in found} - {"", "other"}) <= MOST_VALUES
    assert all(len(match.value) <= LONGEST_VALUE for match in found)
    assert all(character.isprintable() for match in found for character in match.value)


def test_values_beyond_the_limit_are_other_in_every_chunk_and_thread() -> None:
    pipeline = make_pipeline(COUNT="users=/user=(?P<user>\\w+)/")
    totals = MatchTotals({})

    def run(thread: int) -> None:
        for batch in range(10):
            text = "".join(f"user=u{thread}_{batch}_{number}\n" for number in range(20))
            totals.settled(f"sink {thread}", [pipeline.process(a_chunk(text.encode()))])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = {match.value for _, match in totals.counts()}
    assert len(values) == MOST_VALUES + 1
    assert "other" in values


def test_a_label_shows_nothing_that_redaction_hides() -> None:
    count = r"logins=/user=(?P<user>\S+)/,mails=/@/"
    records = records_of("user=bob@example.com\nuser=ann\n", COUNT=count, REDACT="email")
    assert records.matches == {
        Match("logins", "user", "[email]"): 1,
        Match("logins", "user", "ann"): 1,
        Match("mails"): 1,
    }
    hidden = records_of("password=hunter2\n", COUNT=r"p=/password=(?P<p>h\w+)/", REDACT="password", DROP="password")
    assert hidden.matches == {Match("p", "p", "redacted"): 1}
    in_json = records_of(
        '{"password":"hunter2","n":1}\n', COUNT=r'p=/password":"(?P<p>[^"]*)/', REDACT="password", FORMAT="json"
    )
    assert in_json.matches == {Match("p", "p", "[password]"): 1}


def test_parts_of_records_do_not_count_again() -> None:
    records = records_of("a\nb\n", COUNT="all=/./")
    assert records.select([0]).matches == {}
    assert records.matches == {Match("all"): 2}


def test_the_sink_that_is_ahead_is_shown_and_a_counter_without_a_label_begins_at_zero() -> None:
    pipeline = make_pipeline(COUNT=f"all=/./,{ANSWERS}")
    assert pipeline.counters is not None
    totals = MatchTotals({"default": pipeline.counters.unlabelled})
    assert totals.counts() == {("default", Match("all")): 0}
    records = records_of("a\n", COUNT="all=/./")
    for sink in ("fast", "fast", "slow"):
        totals.settled(sink, [records])
    assert totals.counts() == {("default", Match("all")): 2}


def test_records_that_are_sent_again_are_neither_sampled_nor_counted_again() -> None:
    both = {"SAMPLE": "1000000", "COUNT": "all=/./", "A_PATHS": "/a", "R_PATHS": "/r", "R_FORMAT": "record"}
    environ = {f"LOGSHIPPER_{name}": value for name, value in {**both, "SINK": "stdout:"}.items()}
    pipeline = Pipeline(load(Settings, environ).inputs["r"], {})
    line = b'{"id":"f00d-%d","file":"/logs/a.log","message":"x"}\n'
    (records,) = pipeline.records(a_chunk(b"".join(line % number for number in range(9))))
    assert (records.bodies, records.matches, records.dropped) == (["x"] * 9, {}, {})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("errors", "expected name=/regex/ pairs separated by commas, at: errors"),
        ("a=/x/ b=/y/", "expected name=/regex/ pairs separated by commas, at: a=/x/ b=/y/"),
        ("a=/x/,a=/y/", "a is there twice: each counter has a name of its own"),
        ("a=/(x/", "is not a regex: missing ), unterminated subpattern at character 1"),
        ("a=/(?P<b>x)(?P<c>y)/", "a has the named groups b, c: one of them can be a label"),
        ("a=/(?P<name>x)/", "a has the named group name, which is no label of its own: give it another name"),
        ("a=/(?P<__x>x)/", "a has the named group __x, which is no label of its own: give it another name"),
        (",".join(f"a{number}=/x/" for number in range(21)), "expected at most 20 counters"),
    ],
)
def test_a_wrong_setting_gets_a_sentence(value: str, problem: str) -> None:
    with pytest.raises(ValueError, match="^" + "".join(f"[{c}]" if c not in "^\\" else f"\\{c}" for c in problem)):
        parse_count(value)
