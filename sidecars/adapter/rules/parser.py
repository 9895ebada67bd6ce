"""Parse an expression: the parser of PromQL, as far as the rules have it. No I/O.

    expression  = operand { operator [ "bool" ] [ ("on" | "ignoring") labels ] operand }
    operand     = ( "-" | "+" ) operand | number | duration | selector | call | aggregation | "(" expression ")"
    selector    = ( name [ matchers ] | matchers ) [ "[" duration "]" ]
    matchers    = "{" [ matcher { "," matcher } [ "," ] ] "}"
    matcher     = label ( "=" | "!=" | "=~" | "!~" ) string | string          the latter is a metric's name
    call        = function "(" [ expression ] ")"
    aggregation = operator [ ("by" | "without") labels ] "(" expression ")" [ ("by" | "without") labels ]
    labels      = "(" [ label { "," label } [ "," ] ] ")"

Precedence, from the weakest: `or`; `and` `unless`; comparisons; `+ -`; `* / %`; `^`, which binds to the right. A sign
is weaker than `^`, as in mathematics: -2^2 is -4.

Other syntax of PromQL is refused by its name, with the column.
"""

from __future__ import annotations

from math import isinf

from sidecars.adapter.rules.ast import (
    AGGREGATION_OPERATORS,
    ALL_LABELS,
    COMPARISON_OPERATORS,
    FUNCTIONS,
    SET_OPERATORS,
    Aggregation,
    BinaryOperation,
    Call,
    Expression,
    LabelMatcher,
    Negation,
    NumberLiteral,
    ValueType,
    VectorMatching,
    VectorSelector,
    value_type,
)
from sidecars.adapter.rules.label_matchers import BadPattern, make_matcher
from sidecars.adapter.rules.lexer import BadRule, Token, parse_duration, parse_number, unquote
from sidecars.adapter.rules.token_stream import TokenStream

MAX_RANGE = 86400.0  # seconds: one day of history
_MAX_DEPTH = 50  # parentheses in each other
_MAX_OPERATORS = 250  # of a rule: each is a level of the tree, and Python's stack has a thousand

_PRECEDENCE = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(COMPARISON_OPERATORS, 3),
    **dict.fromkeys("+-", 4),
    **dict.fromkeys("*/%", 5),
    "^": 6,
}
_SIGN = 5  # the precedence of a sign: its operand binds stronger
SEVERITIES = ("warn", "fail")
_GROUPING = ("by", "without")
_MATCHING = ("on", "ignoring")
_MATCHERS = ("=", "!=", "=~", "!~")
_NOT_SUPPORTED = {
    "offset": "there is no offset: only the present and the ranges of rate, increase, delta and stale are known",
    "@": "there is no @: only the present and the ranges of rate, increase, delta and stale are known",
    "group_left": "matching is one-to-one only: aggregate one side first, such as sum by (…) (…)",
    "group_right": "matching is one-to-one only: aggregate one side first, such as sum by (…) (…)",
    "atan2": "there is no operator atan2",
}
_TYPE_NAMES: dict[ValueType, str] = {
    "scalar": "a number",
    "instant vector": "series such as up{…}",
    "range vector": "a range such as up{…}[1m]",
}


class ExpressionParser(TokenStream):
    """The recursive-descent parser of one rule's expression. The tokens after the expression stay in the stream."""

    def __init__(self, text: str, start: int) -> None:
        super().__init__(text, start)
        self._depth = 0
        self._operators = 0

    def expression(self, weakest: int = 1) -> Expression:
        """Parse an expression of operators with at least this precedence. Raises BadRule."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            reason = f"there are too many parentheses, signs or powers in each other: {_MAX_DEPTH} are the most"
            raise self.error(self.next, reason)
        start = self.next.start  # of a parenthesis before the first operand, which is not part of the operand's node
        left = self._operand()
        while (precedence := _PRECEDENCE.get(self.word(), 0)) >= weakest:
            self._operators += 1
            if self._operators > _MAX_OPERATORS:
                reason = f"there are more than {_MAX_OPERATORS} operators in one rule: make several of it, or aggregate"
                raise self.error(self.next, reason)
            left = self._operation(start, left, precedence)
        self._depth -= 1
        return left

    def _operation(self, start: int, left: Expression, precedence: int) -> Expression:
        token = self.advance()
        operator = token.text.lower()
        return_bool = self.word() == "bool"
        if return_bool:
            if operator not in COMPARISON_OPERATORS:
                raise self.error(self.next, "bool belongs to a comparison")
            self.advance()
        matching = ALL_LABELS
        matched = self.next if self.word() in _MATCHING else None
        if matched:
            self.advance()
            matching = VectorMatching(on=matched.text.lower() == "on", labels=self._labels())
        if self.word() in ("group_left", "group_right"):
            raise self.error(self.next, _NOT_SUPPORTED[self.word()])
        right = self.expression(precedence if operator == "^" else precedence + 1)
        types = value_type(left), value_type(right)
        for side, node in zip(types, (left, right), strict=True):
            if side == "range vector":
                raise BadRule(self.text, node.start, "a range stands in rate, increase, delta or stale only")
        if operator in SET_OPERATORS and types != ("instant vector", "instant vector"):
            raise self.error(token, f"{operator} stands between series; vector(0) makes one of a number")
        if matched and types != ("instant vector", "instant vector"):
            raise self.error(matched, f"{matched.text} is for series on both sides")
        if operator in COMPARISON_OPERATORS and types == ("scalar", "scalar") and not return_bool:
            raise self.error(token, "this compares two numbers, and no series")
        return BinaryOperation(start, self.end, operator, left, right, return_bool, matching)

    def _operand(self) -> Expression:
        """Parse an operand with its range."""
        operand = self._primary()
        while self.word() == "[":
            operand = self._range(operand)
        if self.word() in ("offset", "@"):
            raise self.error(self.next, _NOT_SUPPORTED[self.word()])
        return operand

    def _primary(self) -> Expression:
        token = self.next
        if token.kind == "number":
            return self._number(parse_number(token.text))
        if token.kind == "duration":
            return self._number(parse_duration(token.text))
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
            raise self.error(token, "the rule ends where a value is expected")
        raise self.error(token, f"expected a value: a metric, a number, a function or (, but there is {token.text}")

    def _number(self, value: float) -> Expression:
        """Take the next token, a number of this value."""
        token = self.advance()
        if isinf(value):
            raise self.error(token, "this number is too large for 64 bits of floating point")
        return NumberLiteral(token.start, token.end, value)

    def _signed(self) -> Expression:
        sign = self.advance()
        operand = self.expression(_SIGN + 1)
        if value_type(operand) == "range vector":
            raise self.error(sign, "a range has no sign")
        if sign.text == "+":
            return operand
        if isinstance(operand, NumberLiteral):
            return NumberLiteral(sign.start, self.end, -operand.value)
        return Negation(sign.start, self.end, operand)

    def _parenthesis(self) -> Expression:
        opening = self.advance()
        inner = self.expression()
        self.close(opening, ")")
        return inner

    def _named(self) -> Expression:
        """Parse an operand that begins with a name: a number, an aggregation, a call or a selector."""
        token = self.advance()
        word = token.text.lower()
        if word in ("inf", "nan"):
            return NumberLiteral(token.start, token.end, float(word))
        follows = self.word()
        if word in AGGREGATION_OPERATORS and follows in ("(", *_GROUPING):
            return self._aggregation(token, word)
        if follows == "(":
            return self._call(token)
        if word in _PRECEDENCE or word in ("bool", *_GROUPING, *_MATCHING, "offset", "group_left", "group_right"):
            raise self.error(token, f"expected a value, but there is the word {token.text}")
        if word in SEVERITIES and follows != "{":
            raise self.error(token, f'expected a value before {word} (a metric of that name is written {{"{word}"}})')
        return self._selector(token.text, token.start)

    def _call(self, name: Token) -> Expression:
        if name.text not in FUNCTIONS:
            known = ", ".join([*FUNCTIONS, *AGGREGATION_OPERATORS])
            raise self.error(name, f"there is no function {name.text}; there are {known}")
        wanted = FUNCTIONS[name.text][0]
        opening = self.advance()
        if wanted is None:
            return Call(name.start, self.close(opening, ")").end, name.text, None)
        first = self.next
        if first.text == ")":
            raise self.error(first, f"{name.text} takes {_TYPE_NAMES[wanted]}")
        argument = self.expression()
        if value_type(argument) != wanted:
            raise self._wrong_type(first, name.text, wanted, argument)
        if self.next.text == ",":
            raise self.error(self.next, f"{name.text} takes one argument")
        return Call(name.start, self.close(opening, ")").end, name.text, argument)

    def _aggregation(self, name: Token, operator: str) -> Expression:
        grouping = self.word()
        labels: tuple[str, ...] = ()
        if grouping in _GROUPING:
            self.advance()
            labels = self._labels()
        if self.next.text != "(":
            raise self.error(self.next, f"expected ( and what {operator} is made of")
        opening = self.advance()
        first = self.next
        argument = self.expression()
        if value_type(argument) != "instant vector":
            raise self._wrong_type(first, operator, "instant vector", argument)
        end = self.close(opening, ")").end
        if self.word() in _GROUPING:
            if grouping in _GROUPING:
                raise self.error(self.next, "by and without stand once, before or after the parentheses")
            grouping = self.word()
            self.advance()
            labels = self._labels()
            end = self.end
        return Aggregation(name.start, end, operator, argument, labels, grouping == "without")

    def _wrong_type(self, token: Token, name: str, wanted: ValueType, argument: Expression) -> BadRule:
        seen = _TYPE_NAMES[value_type(argument)]
        return self.error(token, f"{name} takes {_TYPE_NAMES[wanted]}, but this is {seen}")

    def _labels(self) -> tuple[str, ...]:
        """Parse names of labels in parentheses."""
        if self.next.text != "(":
            raise self.error(self.next, "expected ( and names of labels")
        opening = self.advance()
        labels: list[str] = []
        while self.next.text != ")":
            token = self.next
            if token.kind == "string":
                labels.append(unquote(self.advance(), self.text))
            elif token.kind == "name" and ":" not in token.text:
                labels.append(self.advance().text)
            else:
                raise self.error(token, f"expected the name of a label, but there is {token.text.strip() or 'the end'}")
            if self.next.text != ",":
                break
            self.advance()
        self.close(opening, ")")
        return tuple(labels)

    def _selector(self, name: str, start: int) -> Expression:
        matchers: list[LabelMatcher] = []
        if self.word() == "{":
            opening = self.advance()
            while self.next.text != "}" or self.next.kind == "string":
                token = self.next
                one = self._matcher()
                if one.label == "__name__" and one.operator == "=" and not any(m.label == "__name__" for m in matchers):
                    if name:
                        raise self.error(token, "the metric has a name already")
                    name = one.value
                else:
                    matchers.append(one)
                if self.next.text != ",":
                    break
                self.advance()
            self.close(opening, "}")
        if not name and all(one.matches("") for one in matchers):
            raise BadRule(self.text, start, "this selects everything: give a name, or a label a value")
        return VectorSelector(start, self.end, name, tuple(matchers), None)

    def _matcher(self) -> LabelMatcher:
        token = self.advance()
        if token.kind == "string":
            label = unquote(token, self.text)
            if self.next.text not in _MATCHERS:
                return LabelMatcher("__name__", "=", label, label.__eq__)
        elif token.kind == "name" and ":" not in token.text:
            label = token.text
        else:
            raise self.error(token, f"expected the name of a label, but there is {token.text.strip() or 'the end'}")
        operator = self.next
        if operator.text not in _MATCHERS:
            raise self.error(operator, f"expected = != =~ or !~ after the label {label}")
        self.advance()
        value = self.next
        if value.kind != "string":
            raise self.error(value, f"expected a value in quotes for the label {label}")
        self.advance()
        try:
            return make_matcher(label, operator.text, unquote(value, self.text))
        except BadPattern as error:
            raise self.error(value, f"this is no regular expression: {error}") from None

    def _range(self, of: Expression) -> Expression:
        opening = self.advance()
        if not isinstance(of, VectorSelector):
            raise self.error(opening, "a range stands after a metric only: there are no subqueries")
        if of.range is not None:
            raise self.error(opening, "there is a range already")
        duration = self.next
        if duration.kind != "duration":
            raise self.error(duration, "expected a duration such as 1m")
        self.advance()
        length = parse_duration(duration.text)
        if not 0 < length <= MAX_RANGE:
            raise self.error(duration, "a range is longer than 0s, and 1d at most")
        return VectorSelector(of.start, self.close(opening, "]").end, of.name, of.matchers, length)


def parse_expression(text: str) -> Expression:
    """Parse a text that is one expression. Raises BadRule."""
    parser = ExpressionParser(text, 0)
    expression = parser.expression()
    if parser.next.kind != "end":
        raise parser.error(parser.next, f"expected the end, but there is {parser.next.text}")
    return expression
