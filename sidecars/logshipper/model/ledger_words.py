"""The sum of an account in words: `read 12.3 MiB = delivered 12.1 MiB + dropped 0 + pending 0.2 MiB`. Pure.

All terms have one unit and one digit after the point, and the shown terms have the shown sum: the largest term takes
the rounding errors of the others. A term that would be shown as 0.0 is shown in bytes, so that nothing looks like 0
that is not 0.
"""

from __future__ import annotations

from sidecars.logshipper.model.ledger import Account

_UNITS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def sum_in_words(account: Account) -> str:
    """Return `read = delivered + dropped + pending` of one account as a sentence, with the reasons of what is dropped.

    If more was delivered and dropped than was read, which is a defect, the pending term is negative.
    """
    terms = (account.delivered, account.dropped.total(), account.pending)
    unit, size = next(((name, size) for name, size in _UNITS if account.read >= size), ("B", 1))
    delivered, dropped, pending = (_text(*term, unit) for term in zip(terms, _tenths(terms, size), strict=True))
    reasons = {reason: count for reason, count in sorted(account.dropped.items()) if count}
    by_reason = f" ({', '.join(f'{reason} {in_bytes(count)}' for reason, count in reasons.items())})" if reasons else ""
    read = _text(account.read, round(account.read * 10 / size), unit)
    return f"read {read} = delivered {delivered} + dropped {dropped}{by_reason} + pending {pending}"


def in_bytes(count: int) -> str:
    """Return a number of bytes for people, such as `12.3 MiB`."""
    unit, size = next(((name, size) for name, size in _UNITS if abs(count) >= size), ("B", 1))
    return _text(count, round(count * 10 / size), unit)


def _tenths(terms: tuple[int, ...], size: int) -> list[int]:
    """Return the terms in tenths of `size` bytes. Their sum is the rounded sum of the terms."""
    rounded = [round(term * 10 / size) for term in terms]
    largest = max(range(len(terms)), key=terms.__getitem__)
    rounded[largest] += round(sum(terms) * 10 / size) - sum(rounded)
    return rounded


def _text(count: int, tenths: int, unit: str) -> str:
    if not count:
        return "0"
    if unit == "B" or not tenths:
        return f"{count} B"
    return f"{tenths / 10:.1f} {unit}"
