"""The grammar of expressions: PromQL's, as far as it goes. No I/O.

    expression  = operand { operator [ "bool" ] [ ("on" | "ignoring") labels ] operand }
    operand     = ( "-" | "+" ) operand | number | duration | selector | call | aggregation | "(" expression ")"
    selector    = ( name [ matchers ] | matchers ) [ "[" duration "]" ]
    matchers    = "{" [ matcher { "," matcher } [ "," ] ] "}"
    matcher     = label ( "=" | "!=" | "=~" | "!~" ) string | string          the latter is a metric's name
    call        = function "(" [ expression ] ")"
    aggregation = operator [ ("by" | "without") labels ] "(" expression ")" [ ("by" | "without") labels ]
    labels      = "(" [ label { "," label } [ "," ] ] ")"

Precedence, from the weakest: `or`; `and` `unless`; comparisons; `+ -`; `* / %`; `^`, which binds to the right. A
sign is weaker than `^`, as everywhere in mathematics: -2^2 is -4.

What PromQL has beyond this is refused by its name, with the column.
"""

from __future__ import annotations

from math import isinf

from sidecars.adapter.rules.ast import (
    AGGREGATIONS,
    ALL_LABELS,
    COMPARISONS,
    FUNCTIONS,
    SETS,
    Aggregation,
    Call,
    Expression,
    Matcher,
    Matching,
    Negation,
    Number,
    Operation,
    Selector,
    Type,
    type_of,
)
from sidecars.adapter.rules.label_matchers import BadPattern, matcher
from sidecars.adapter.rules.lexer import BadRule, Token, number, seconds, tokens, unquoted

LONGEST_RANGE = 86400.0  # seconds: one day of history
_DEEPEST = 50  # parentheses in each other
_MOST_OPERATORS = 250  # of a rule: each is a level of the tree, and Python's stack has a thousand

_PRECEDENCE = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(COMPARISONS, 3),
    **dict.fromkeys("+-", 4),
    **dict.fromkeys("*/%", 5),
    "^": 6,
}
_SIGN = 5  # what follows a sign binds stronger than this
SEVERITIES = ("warn", "fail")
_GROUPING = ("by", "without")
_MATCHING = ("on", "ignoring")
_MATCHERS = ("=", "!=", "=~", "!~")
_BEYOND = {
    "offset": "there is no offset: only the present and the ranges of rate, increase, delta and stale are known",
    "@": "there is no @: only the present and the ranges of rate, increase, delta and stale are known",
    "group_left": "matching is one-to-one only: aggregate one side first, such as sum by (…) (…)",
    "group_right": "matching is one-to-one only: aggregate one side first, such as sum by (…) (…)",
    "atan2": "there is no operator atan2",
}
_NAMES: dict[Type, str] = {
    "scalar": "a number",
    "vector": "series such as up{…}",
    "range": "a range such as up{…}[1m]",
}


class Grammar:
    """One pass over one rule's expression; what follows it is left to the caller."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._tokens = tokens(text, start)
        self._depth = 0
        self._operators = 0
        self.before = start
        """Where the last token ended that was taken."""
        self.next = next(self._tokens)

    def advance(self) -> Token:
        """Take the next token."""
        token = self.next
        self.before = token.end
        if token.kind != "end":
            self.next = next(self._tokens)
        return token

    def fail(self, token: Token, why: str) -> BadRule:
        return BadRule(self._text, token.start, why)

    def expression(self, weakest: int = 1) -> Expression:
        """Return an expression of operators that bind at least so strongly."""
        self._depth += 1
        if self._depth > _DEEPEST:
            why = f"there are too many parentheses, signs or powers in each other: {_DEEPEST} are the most"
            raise self.fail(self.next, why)
        start = (
            self.next.start
        )  # with the parenthesis before the first operand, which the operand's own text is without
        left = self._operand()
        while (precedence := _PRECEDENCE.get(self._word(), 0)) >= weakest:
            self._operators += 1
            if self._operators > _MOST_OPERATORS:
                why = f"there are more than {_MOST_OPERATORS} operators in one rule: make several of it, or aggregate"
                raise self.fail(self.next, why)
            left = self._operation(start, left, precedence)
        self._depth -= 1
        return left

    def _word(self) -> str:
        """The next operator or keyword; PromQL's keywords may be in capitals."""
        if self.next.kind == "operator":
            return self.next.text
        return self.next.text.lower() if self.next.kind == "name" else ""

    def _operation(self, start: int, left: Expression, precedence: int) -> Expression:
        token = self.advance()
        operator = token.text.lower()
        as_bool = self._word() == "bool"
        if as_bool:
            if operator not in COMPARISONS:
                raise self.fail(self.next, "bool belongs to a comparison")
            self.advance()
        matching = ALL_LABELS
        matched = self.next if self._word() in _MATCHING else None
        if matched:
            self.advance()
            matching = Matching(on=matched.text.lower() == "on", labels=self._labels())
        if self._word() in ("group_left", "group_right"):
            raise self.fail(self.next, _BEYOND[self._word()])
        right = self.expression(precedence if operator == "^" else precedence + 1)
        types = type_of(left), type_of(right)
        for side, node in zip(types, (left, right), strict=True):
            if side == "range":
                raise BadRule(self._text, node.start, "a range stands in rate, increase, delta or stale only")
        if operator in SETS and types != ("vector", "vector"):
            raise self.fail(token, f"{operator} stands between series; vector(0) makes one of a number")
        if matched and types != ("vector", "vector"):
            raise self.fail(matched, f"{matched.text} is for series on both sides")
        if operator in COMPARISONS and types == ("scalar", "scalar") and not as_bool:
            raise self.fail(token, "this compares two numbers, and no series")
        return Operation(start, self.before, operator, left, right, as_bool, matching)

    def _operand(self) -> Expression:
        operand = self._primary()
        while self._word() == "[":
            operand = self._range(operand)
        if self._word() in ("offset", "@"):
            raise self.fail(self.next, _BEYOND[self._word()])
        return operand

    def _primary(self) -> Expression:
        token = self.next
        if token.kind == "number":
            return self._number(number(token.text))
        if token.kind == "duration":
            return self._number(seconds(token.text))
        if token.kind == "name":
            return self._named()
        if token.kind == "operator":
            if token.text in "+-":
                return self._signed()
            if token.text == "(":
                return self._parenthesis()
            if token.text == "{":
                return self._selector("", token.start)
        if token.kind == "end":
            raise self.fail(token, "the rule ends where a value is expected")
        raise self.fail(token, f"expected a value: a metric, a number, a function or (, but there is {token.text}")

    def _number(self, value: float) -> Expression:
        token = self.advance()
        if isinf(value):
            raise self.fail(token, "this number is too large for 64 bits of floating point")
        return Number(token.start, token.end, value)

    def _signed(self) -> Expression:
        sign = self.advance()
        operand = self.expression(_SIGN + 1)
        if type_of(operand) == "range":
            raise self.fail(sign, "a range has no sign")
        if sign.text == "+":
            return operand
        if isinstance(operand, Number):
            return Number(sign.start, self.before, -operand.value)
        return Negation(sign.start, self.before, operand)

    def _parenthesis(self) -> Expression:
        opening = self.advance()
        inner = self.expression()
        self._closing(opening, ")")
        return inner

    def _closing(self, opening: Token, closing: str) -> Token:
        if self.next.text != closing or self.next.kind != "operator":
            there = self.next.text.strip() or "the end of the rule"
            raise self.fail(self.next, f"expected {closing} for the {opening.text} before, but there is {there}")
        return self.advance()

    def _named(self) -> Expression:
        token = self.advance()
        word = token.text.lower()
        if word in ("inf", "nan"):
            return Number(token.start, token.end, float(word))
        follows = self._word()
        if word in AGGREGATIONS and follows in ("(", *_GROUPING):
            return self._aggregation(token, word)
        if follows == "(":
            return self._call(token)
        if word in _PRECEDENCE or word in ("bool", *_GROUPING, *_MATCHING, "offset", "group_left", "group_right"):
            raise self.fail(token, f"expected a value, but there is the word {token.text}")
        if word in SEVERITIES and follows != "{":
            raise self.fail(token, f'expected a value before {word} (a metric of that name is written {{"{word}"}})')
        return self._selector(token.text, token.start)

    def _call(self, name: Token) -> Expression:
        if name.text not in FUNCTIONS:
            known = ", ".join([*FUNCTIONS, *AGGREGATIONS])
            raise self.fail(name, f"there is no function {name.text}; there are {known}")
        wanted = FUNCTIONS[name.text][0]
        opening = self.advance()
        if wanted is None:
            return Call(name.start, self._closing(opening, ")").end, name.text, None)
        first = self.next
        if first.text == ")":
            raise self.fail(first, f"{name.text} takes {_NAMES[wanted]}")
        argument = self.expression()
        if type_of(argument) != wanted:
            raise self.fail(first, f"{name.text} takes {_NAMES[wanted]}, but this is {_NAMES[type_of(argument)]}")
        if self.next.text == ",":
            raise self.fail(self.next, f"{name.text} takes one argument")
        return Call(name.start, self._closing(opening, ")").end, name.text, argument)

    def _aggregation(self, name: Token, operator: str) -> Expression:
        grouping = self._word()
        labels: tuple[str, ...] = ()
        if grouping in _GROUPING:
            self.advance()
            labels = self._labels()
        if self.next.text != "(":
            raise self.fail(self.next, f"expected ( and what {operator} is made of")
        opening = self.advance()
        first = self.next
        argument = self.expression()
        if type_of(argument) != "vector":
            raise self.fail(first, f"{operator} takes {_NAMES['vector']}, but this is {_NAMES[type_of(argument)]}")
        end = self._closing(opening, ")").end
        if self._word() in _GROUPING:
            if grouping in _GROUPING:
                raise self.fail(self.next, "by and without stand once, before or after the parentheses")
            grouping = self._word()
            self.advance()
            labels = self._labels()
            end = self.before
        return Aggregation(name.start, end, operator, argument, labels, grouping == "without")

    def _labels(self) -> tuple[str, ...]:
        """Names of labels in parentheses."""
        if self.next.text != "(":
            raise self.fail(self.next, "expected ( and names of labels")
        opening = self.advance()
        labels: list[str] = []
        while self.next.text != ")":
            token = self.next
            if token.kind == "string":
                labels.append(unquoted(self.advance(), self._text))
            elif token.kind == "name" and ":" not in token.text:
                labels.append(self.advance().text)
            else:
                raise self.fail(token, f"expected the name of a label, but there is {token.text.strip() or 'the end'}")
            if self.next.text != ",":
                break
            self.advance()
        self._closing(opening, ")")
        return tuple(labels)

    def _selector(self, name: str, start: int) -> Expression:
        matchers: list[Matcher] = []
        if self._word() == "{":
            opening = self.advance()
            while self.next.text != "}" or self.next.kind == "string":
                token = self.next
                one = self._matcher()
                if one.label == "__name__" and one.operator == "=" and not any(m.label == "__name__" for m in matchers):
                    if name:
                        raise self.fail(token, "the metric has a name already")
                    name = one.value
                else:
                    matchers.append(one)
                if self.next.text != ",":
                    break
                self.advance()
            self._closing(opening, "}")
        if not name and all(one.test("") for one in matchers):
            raise BadRule(self._text, start, "this selects everything: give a name, or a label a value")
        return Selector(start, self.before, name, tuple(matchers), None)

    def _matcher(self) -> Matcher:
        token = self.advance()
        if token.kind == "string":
            label = unquoted(token, self._text)
            if self.next.text not in _MATCHERS:
                return Matcher("__name__", "=", label, label.__eq__)
        elif token.kind == "name" and ":" not in token.text:
            label = token.text
        else:
            raise self.fail(token, f"expected the name of a label, but there is {token.text.strip() or 'the end'}")
        operator = self.next
        if operator.text not in _MATCHERS:
            raise self.fail(operator, f"expected = != =~ or !~ after the label {label}")
        self.advance()
        value = self.next
        if value.kind != "string":
            raise self.fail(value, f"expected a value in quotes for the label {label}")
        self.advance()
        try:
            return matcher(label, operator.text, unquoted(value, self._text))
        except BadPattern as error:
            raise self.fail(value, f"this is no regular expression: {error}") from None

    def _range(self, of: Expression) -> Expression:
        opening = self.advance()
        if not isinstance(of, Selector):
            raise self.fail(opening, "a range stands after a metric only: there are no subqueries")
        if of.range is not None:
            raise self.fail(opening, "there is a range already")
        duration = self.next
        if duration.kind != "duration":
            raise self.fail(duration, "expected a duration such as 1m")
        self.advance()
        length = seconds(duration.text)
        if not 0 < length <= LONGEST_RANGE:
            raise self.fail(duration, "a range is longer than 0s, and 1d at most")
        return Selector(of.start, self._closing(opening, "]").end, of.name, of.matchers, length)


def parse_expression(text: str) -> Expression:
    """The expression that is the whole text. Raises `BadRule`."""
    grammar = Grammar(text, 0)
    expression = grammar.expression()
    if grammar.next.kind != "end":
        raise grammar.fail(grammar.next, f"expected the end, but there is {grammar.next.text}")
    return expression
