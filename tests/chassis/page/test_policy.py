"""The header fields of a page that has all of its parts in it."""

from __future__ import annotations

import pytest

from sidecars.chassis.page import policy

PAGE = "<style>a{}</style><script>1</script>"


@pytest.mark.parametrize("changed", [PAGE.replace("1", "2"), PAGE.replace("a{}", "b{}")], ids=["script", "style"])
def test_a_change_of_the_script_or_the_style_changes_what_is_allowed(changed: str) -> None:
    assert policy.headers(PAGE) != policy.headers(changed)


def test_a_page_with_two_scripts_has_no_policy() -> None:
    with pytest.raises(ValueError, match="too many values"):
        policy.headers(f"{PAGE}<script>2</script>")
