"""The tokens of one rule, with one token of look-ahead. No I/O."""

from __future__ import annotations

from sidecars.adapter.rules.lexer import BadRule, Token, tokenize


class TokenStream:
    """The tokens of one rule, from an offset of the text on. The parser of the rule owns it.

    `next` is the next token. `end` is the offset at which the token that was taken last ends.
    """

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self._tokens = tokenize(text, start)
        self.end = start
        self.next = next(self._tokens)

    def advance(self) -> Token:
        """Take the next token. The token "end" stays the next one. Raises BadRule."""
        token = self.next
        self.end = token.end
        if token.kind != "end":
            self.next = next(self._tokens)
        return token

    def word(self) -> str:
        """Return the next token if it is an operator or a keyword (in lower case: PromQL takes capitals), or ""."""
        if self.next.kind == "operator":
            return self.next.text
        return self.next.text.lower() if self.next.kind == "name" else ""

    def close(self, opening: Token, closing: str) -> Token:
        """Take the closing parenthesis, brace or bracket of `opening`. Raises BadRule."""
        if self.next.text != closing or self.next.kind != "operator":
            there = self.next.text.strip() or "the end of the rule"
            raise self.error(self.next, f"expected {closing} for the {opening.text} before, but there is {there}")
        return self.advance()

    def error(self, token: Token, reason: str) -> BadRule:
        """Return the error of a mistake at this token."""
        return BadRule(self.text, token.start, reason)
