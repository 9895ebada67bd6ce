"""The contradictions among the settings of hedges and copies, of all upstreams together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sidecars.ambassador.config.upstream_settings import UpstreamSettings


def contradictions(upstreams: Mapping[str, UpstreamSettings], named: Callable[[str, str], str]) -> Iterator[str]:
    """Yield a sentence for each contradiction. `named(field, upstream)` is the variable."""
    for name, upstream in upstreams.items():
        yield from _check_hedges(name, upstream, named)
        if upstream.mirror is not None:
            yield from _check_mirror(upstreams, name, f"{named('mirror', name)}={upstream.mirror}", named)


def _check_hedges(name: str, upstream: UpstreamSettings, named: Callable[[str, str], str]) -> Iterator[str]:
    after = upstream.hedge_after
    if not after:
        return
    own = f"{named('hedge_after', name)}={after}"
    for field, limit in (("try_timeout", upstream.try_timeout), ("timeout", upstream.timeout)):
        if limit is not None and after.seconds >= limit:
            yield f"{own} is not less than {named(field, name)}, which would end the attempt first: set a smaller value"


def _check_mirror(
    upstreams: Mapping[str, UpstreamSettings], name: str, own: str, named: Callable[[str, str], str]
) -> Iterator[str]:
    target = upstreams[name].mirror
    assert target is not None  # noqa: S101 - the caller has asked
    other = upstreams.get(target.name)
    if other is None:
        known = ", ".join(each for each in upstreams if each != name) or "none"
        yield f"{own}: there is no upstream {target.name}; the others are: {known}"
    elif target.name == name:
        yield f"{own}: an upstream cannot be its own mirror: name another one"
    elif other.upstream.protocol == "tcp":
        yield f"{own}: {named('upstream', target.name)} is not HTTP, so it takes no copies: name another one"
    elif other.mirror is not None:
        yield f"{own}: {target.name} has a mirror of its own, but copies are not copied again: unset one of them"
