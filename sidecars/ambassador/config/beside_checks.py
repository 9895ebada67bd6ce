"""The contradictions among the settings of copies, of all upstreams together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sidecars.ambassador.config.upstream_settings import UpstreamSettings


def contradictions(upstreams: Mapping[str, UpstreamSettings], named: Callable[[str, str], str]) -> Iterator[str]:
    """Yield a sentence for each contradiction. `named(field, upstream)` is the variable."""
    for name, upstream in upstreams.items():
        if upstream.mirror is not None:
            yield from _check_mirror(upstreams, name, f"{named('mirror', name)}={upstream.mirror}", named)


def _check_mirror(
    upstreams: Mapping[str, UpstreamSettings], name: str, own: str, named: Callable[[str, str], str]
) -> Iterator[str]:
    target = upstreams[name].mirror
    assert target is not None  # noqa: S101 - the caller has asked
    other = upstreams.get(target.name)
    if other is None:
        known = ", ".join(each for each in upstreams if each != name) or "none"
        yield f"{own}: there is no upstream {target.name}; the others are: {known}"
    elif other.upstream.protocol == "tcp":
        yield f"{own}: {named('upstream', target.name)} is not HTTP, so it takes no copies: name another one"
    elif other.mirror is not None:
        yield f"{own}: {target.name} has a mirror of its own, but copies are not copied again: unset one of them"
