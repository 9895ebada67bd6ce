from __future__ import annotations

from sidecars.ambassador.endpoints import Name


def name() -> Name:
    return Name("orders:8080", "orders", 8080)


def test_a_good_answer_replaces_what_was_known() -> None:
    orders = name()
    new, gone = orders.answered(["10.0.0.1", "10.0.0.2"], 1.0)
    assert [endpoint.label for endpoint in new] == ["10.0.0.1:8080", "10.0.0.2:8080"]
    assert not gone
    kept = orders.endpoints["10.0.0.2"]
    new, gone = orders.answered(["10.0.0.2", "10.0.0.3"], 2.0)
    assert [endpoint.ip for endpoint in new] == ["10.0.0.3"]
    assert [endpoint.ip for endpoint in gone] == ["10.0.0.1"]
    assert gone[0].removed
    assert orders.endpoints["10.0.0.2"] is kept


def test_the_last_good_answer_is_kept_when_dns_fails() -> None:
    orders = name()
    orders.answered(["10.0.0.1"], 1.0)
    orders.failed("SERVFAIL")
    assert orders.answered([], 3.0) == ([], [])
    assert list(orders.endpoints) == ["10.0.0.1"]
    assert orders.answered_at == 1.0
    assert orders.error
    orders.answered(["10.0.0.1"], 4.0)
    assert orders.error == ""


def test_the_authority_names_a_port_only_where_it_is_not_the_usual_one() -> None:
    assert name().authority == b"orders:8080"
    assert Name("x", "orders", 80).authority == b"orders"
    assert Name("x", "fd00::1", 80).authority == b"[fd00::1]"
