"""Values of the Authorization header field."""

from __future__ import annotations

from sidecars.chassis.http import authorization


def test_a_user_is_shown_as_rfc_7617_has_it() -> None:
    assert authorization.basic("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert authorization.basic("test", "123£") == "Basic dGVzdDoxMjPCow=="
    assert authorization.bearer("t") == "Bearer t"
