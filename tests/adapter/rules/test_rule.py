"""The rule language: valid rules, and the position and reason of a mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.rules.lexer import BadRule
from sidecars.adapter.rules.rule import MAX_LENGTH, parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator


def test_rules_are_one_a_line_or_between_semicolons_with_comments() -> None:
    text = """
        # what the heap may take
        memory: jvm_memory_used_bytes{area="heap"} / jvm_memory_max_bytes{area="heap"} < 0.9 warn; db: up == 1 fail
        no-errors: errors_total < 5   # fail is what is meant where nothing is said
        ;;
    """

    seen = [(rule.name, rule.severity, rule.text) for rule in parse_rules(text)]

    assert seen == [
        ("memory", "warn", 'jvm_memory_used_bytes{area="heap"} / jvm_memory_max_bytes{area="heap"} < 0.9'),
        ("db", "fail", "up == 1"),
        ("no-errors", "fail", "errors_total < 5"),
    ]


def test_a_rule_without_a_name_is_named_after_its_expression() -> None:
    text = 'absent(panic_total); rate(http_requests_total{status=~"5.."}[1m]) < 5 warn'

    assert [rule.name for rule in parse_rules(text)] == [
        "absent_panic_total",
        "rate_http_requests_total_status_5.._1m_5",
    ]


@pytest.mark.parametrize(
    ("text", "left", "comparison", "right"),
    [
        ("x: up", "up", "", None),
        ("x: a + b * 2 < 5", "a + b * 2", "<", "5"),
        ("x: (a < 5)", "a", "<", "5"),
        ("x: 5 > a", "a", "<", "5"),
        ("x: 0.5 <= a / b", "a / b", ">=", "0.5"),
        ("x: a < b", "a", "<", "b"),
        ("x: a == bool 5", "a == bool 5", "", None),
        ("x: sum by (job) (a) != 1h30m", "sum by (job) (a)", "!=", "1h30m"),
        ("x: sum(a) by (job) >= -1", "sum(a) by (job)", ">=", "-1"),
        ('x: {"a.b", "c.d"=~"e|f"} > 0x10', '{"a.b", "c.d"=~"e|f"}', ">", "0x10"),
        ("x: (a or vector(0)) < 5", "a or vector(0)", "<", "5"),
        ("x: warn_total < 5 warn", "warn_total", "<", "5"),
        ("x: -a ^ 2 < 5", "-a ^ 2", "<", "5"),
    ],
)
def test_what_is_judged_is_what_stands_beside_the_comparison(
    text: str, left: str, comparison: str, right: str | None
) -> None:
    (rule,) = parse_rules(text)

    assert rule.text_of(rule.left) == left
    assert rule.comparison == comparison
    assert (rule.text_of(rule.right) if rule.right else None) == right


MISTAKES = [
    ("", 1, "there is no rule"),
    (" ; # nothing", 13, "there is no rule"),
    ("x:", 3, "the rule ends where a value is expected"),
    ("up <", 5, "the rule ends where a value is expected"),
    ("up < 5 critical", 8, "expected warn, fail or the end of the rule, but there is critical"),
    ("up < 5 warn fail", 13, "expected warn, fail or the end of the rule, but there is fail"),
    ("up > 10% fail", 10, "expected a value before fail"),
    ("a: up; a: down", 8, "there are two rules of the name a"),
    ("up; up", 5, "there are two rules of the name up"),
    (f"{'n' * 64}: up", 1, "a rule's name has at most 63 characters"),
    ("1 < 2", 3, "this compares two numbers, and no series"),
    ("time() > bool 2", 1, "this rule looks at no metric"),
    ("up[1m] < 5", 1, "a range stands in rate, increase, delta or stale only"),
    ("up[1m]", 1, "a range stands in rate, increase, delta or stale only"),
    ("rate(up) < 5", 6, "rate takes a range such as up{…}[1m], but this is series such as up{…}"),
    ("rate(sum(up)[1m]) < 5", 13, "a range stands after a metric only"),
    ("rate(up[1m][2m]) < 5", 12, "there is a range already"),
    ("rate(up[1m:5s]) < 5", 11, "expected ] for the [ before, but there is :5s"),
    ("rate(up[60]) < 5", 9, "expected a duration such as 1m"),
    ("rate(up[0s]) < 5", 9, "a range is longer than 0s, and 1d at most"),
    ("rate(up[25h]) < 5", 9, "a range is longer than 0s, and 1d at most"),
    ("rate(up[1m], 5) < 5", 12, "rate takes one argument"),
    ("rate() < 5", 6, "rate takes a range"),
    ("age(5) < 5", 5, "age takes series such as up{…}, but this is a number"),
    ("vector(up) < 5", 8, "vector takes a number"),
    ("time(up) < 5", 6, "expected ) for the ( before"),
    ("sum(5) < up", 5, "sum takes series"),
    ("sum by job (up) < 5", 8, "expected ( and names of labels"),
    ("sum by (5) (up) < 5", 9, "expected the name of a label, but there is 5"),
    ("sum by (a) (up) by (b) < 5", 17, "by and without stand once"),
    ("sum by (a) < 5", 12, "expected ( and what sum is made of"),
    ("histogram_quantile(0.9, up) < 5", 1, "there is no function histogram_quantile; there are rate, increase"),
    ("stale(up[1m])", 1, "say what is healthy: stale(…) == 0"),
    ("age(up)", 1, "say what is healthy: age(…) < 60s"),
    ("up offset 5m < 5", 4, "there is no offset"),
    ("up @ 5 < 5", 4, "there is no @"),
    ("a * on (b) group_left d < 5", 12, "matching is one-to-one only"),
    ("up * on (a) 5 < 1", 6, "on is for series on both sides"),
    ("up + bool 5 < 1", 6, "bool belongs to a comparison"),
    ("up or 5", 4, "or stands between series; vector(0) makes one of a number"),
    ("a < 5 and b < 5", 1, "a rule is one comparison: instead of and, write two rules"),
    ("up{job=db} == 1", 8, "expected a value in quotes for the label job"),
    ("up{job} == 1", 7, "expected = != =~ or !~ after the label job"),
    ('up{job="db" == 1', 13, "expected } for the { before, but there is =="),
    ('up{job="db} == 1', 8, "this string is not closed"),
    ('up{job=~"("} == 1', 9, "this is no regular expression: missing )"),
    ('up{job="\\d"} == 1', 9, "\\d is no escape"),
    ('{job!="db"} == 1', 1, "this selects everything"),
    ('up{__name__="down"} == 1', 4, "the metric has a name already"),
    ("(up == 1", 9, "expected ) for the ( before, but there is the end of the rule"),
    ("(up == 1; x: b)", 9, "expected ) for the ( before, but there is ;"),
    ("up == 1)", 8, "expected warn, fail or the end of the rule, but there is )"),
    ("up == 5x", 7, "this is neither a number nor a duration"),
    ("up ! 1", 4, "! is no operator"),
    ("up == 1 && down == 0", 9, "& is no operator"),
    ("up == $limit", 7, "$ has no meaning here"),
    ('up == "1"', 7, 'expected a value: a metric, a number, a function or (, but there is "1"'),
    ('up{job="\\U99999999"} == 1', 9, "\\U99999999 is no character"),
    ('up{job="ab\\U00110000"} == 1', 11, "\\U00110000 is no character"),
    ('up{job="\\ud800"} == 1', 9, "\\ud800 is no character"),
    ('up{job=~"\\udfff"} == 1', 10, "\\udfff is no character"),
    ('up{job="\\777"} == 1', 9, "\\777 is no character"),
    ('up{job=~"\udcff"} == 1', 9, "this string is not UTF-8 text"),
    ("up{job=`\udcff`} == 1", 8, "this string is not UTF-8 text"),
    ('{"\\U99999999"} == 1', 3, "\\U99999999 is no character"),
    ("up\udcff == 1", 3, "has no meaning here"),
    ("up < " + "9" * 400, 6, "this number is too large"),
    ("up < " + "9" * 5000, 6, "this number is too large"),
    ("up < 1e999", 6, "this number is too large"),
    ("up < 0x" + "F" * 257, 6, "this number is too large"),
    ("up < " + "9" * 5000 + "s", 6, "this number is too large"),
    ("rate(up[" + "9" * 5000 + "d]) < 1", 9, "a range is longer than 0s, and 1d at most"),
    (" + ".join(["up"] * 1200) + " < 1", 1254, "there are more than 250 operators in one rule"),
    (" or ".join(["up"] * 1200), 1504, "there are more than 250 operators in one rule"),
    ("^".join(["up"] * 1200) + " < 1", 151, "too many parentheses, signs or powers in each other"),
    ("-" * 1200 + "up < 1", 51, "too many parentheses, signs or powers in each other"),
    ("sum(" * 1200 + "up" + ")" * 1200, 201, "too many parentheses"),
    ("vector(" * 1200, 351, "too many parentheses"),
    ("(" * 60 + "up" + ")" * 60, 51, "too many parentheses"),
    ("up == by", 7, "expected a value, but there is the word by"),
]


@pytest.mark.parametrize(("text", "column", "why"), MISTAKES)
def test_a_mistake_is_told_with_its_column(text: str, column: int, why: str) -> None:
    with pytest.raises(BadRule) as refused:
        parse_rules(text)

    assert why in refused.value.reason
    assert refused.value.column == column


def test_the_caret_stands_under_the_mistake() -> None:
    with pytest.raises(BadRule) as refused:
        parse_rules('a: up == 1\nb: rate(requests_total{code=~"5.."}) < 5 fail\n')

    assert str(refused.value).splitlines() == [
        "line 2, column 9: rate takes a range such as up{…}[1m], but this is series such as up{…}",
        '  b: rate(requests_total{code=~"5.."}) < 5 fail',
        "          ^",
    ]


@pytest.mark.parametrize("odd", ["\ufeff", "\x1b[31m", "\u202e", "\x00", '"\x1b[2J"'])
def test_what_a_terminal_would_obey_is_shown_in_a_mistake(odd: str) -> None:
    with pytest.raises(BadRule) as caught:
        parse_rules(f"queue: {odd}length < 5")

    sentence, line, caret = str(caught.value).split("\n")
    assert sentence.isprintable()
    assert line.isprintable()
    assert "\\u" in line[caret.index("^") :]


def test_of_a_long_line_the_part_around_the_mistake_is_shown() -> None:
    rules = "; ".join(f"rule{n}: metric_{n} < {n}" for n in range(50))
    with pytest.raises(BadRule) as refused:
        parse_rules(rules.replace("metric_25 <", "metric_25 <>"))

    _, shown, caret = str(refused.value).splitlines()
    assert len(shown) < 110
    assert shown[caret.index("^") :].startswith("> 25")


def test_a_rule_of_as_many_operators_as_there_may_be_is_judged() -> None:
    text = "(" * 40 + " + ".join(["up"] * 250) + ")" * 40 + " < 300"

    [result] = RuleEvaluator(parse_rules(f"sum: {text}")).evaluate(parse_page(b"up 1\n", "", 10), 0)

    assert result.value == 250


@pytest.mark.slow
def test_thousands_of_rules_are_read_in_one_pass() -> None:
    text = "\n".join(f"rule{number}: up == {number}  # of many" for number in range(20_000))

    assert len(parse_rules(text)) == 20_000


def test_a_text_that_is_too_long_is_refused() -> None:
    assert parse_rules("up\n" + "#" * (MAX_LENGTH - 3))
    with pytest.raises(BadRule, match="at most 1048576 characters"):
        parse_rules("up\n" + "#" * (MAX_LENGTH - 2))


def test_a_rule_always_has_a_name() -> None:
    assert [rule.name for rule in parse_rules('{"\u00e9"}')] == ["rule"]


PIECES = [
    "up", "up == 1", "\\", '"', "`", "(", ")", "{", "}", "[", "]", "\\U99999999", "\\ud800", "\udcff", "0x", "1e999",
    "ms", "s", "w", " or ", " and ", "=~", '{job=~"', '"}', "rate(", "[1m]", " by (", "#", ";", "\n", ":", "^", "-",
    "offset", "@", "warn", "fail", "\0", "\u2028", "\r", "Inf", "NaN",
]  # fmt: skip
MANY = ["9" * 400, "9" * 5000, "F" * 300, "x" * 5000, "*" * 50, "(" * 1000, "-" * 1000, " + up" * 1000]


@given(st.lists(st.sampled_from([*PIECES, *MANY]) | st.text(max_size=4), max_size=12).map("".join))
def test_no_text_at_all_escapes_as_anything_but_one_mistake(text: str) -> None:
    try:
        rules = parse_rules(text)
    except BadRule as error:
        mistake = str(error)
    else:
        mistake = ""
        assert all(rule.name for rule in rules)

    assert len(mistake) < 700


@given(st.text(alphabet='ab:_ {}()[]"=~!<>+-*/%^,;\n#.0159smhx\\', max_size=60))
def test_any_text_is_either_rules_or_one_mistake_within_the_text(text: str) -> None:
    lines = text.split("\n")
    try:
        rules = parse_rules(text)
    except BadRule as error:
        place = (error.line, error.column)
    else:
        place = (1, 1)
        assert len({rule.name for rule in rules}) == len(rules) > 0

    assert 1 <= place[0] <= len(lines)
    assert 1 <= place[1] <= len(lines[place[0] - 1]) + 1
