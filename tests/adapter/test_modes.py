"""The real program: verdicts from metrics, metrics from health, several apps, and what guards the way in and out."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import socket
import ssl
import threading
from pathlib import Path

import bcrypt
import httpx
import pytest
import trustme
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import Adapter, App, Behaviour, Exchange, answer, endless, hang, held, raw
from tests.adapter.test_healthdoc import SPRING
from tests.adapter.test_program import FAILURES, failing, probe_together  # noqa: F401 - failing is a fixture
from tests.conftest import Start
from tests.support import free_port, wait_until

JSON = b"Content-Type: application/json\r\n"
RULES = "db: up == 1 fail; queue: depth < 10 warn"


def page(up: int = 1, depth: int = 3) -> Behaviour:
    return answer(f"# TYPE up gauge\nup {up}\n# TYPE depth gauge\ndepth {depth}\n".encode())


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


# -- verdict ------------------------------------------------------------------------------------------------------


def test_health_is_judged_from_metrics_and_the_reason_is_told(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES)
        assert running.get("/health").text.splitlines()[0] == "pass"

        app.behaviours["/metrics"] = page(depth=12)
        warned = running.get("/health", Accept="application/health+json")
        app.behaviours["/metrics"] = page(up=0)
        failed = running.get("/health")

    assert (warned.status_code, warned.json()["status"]) == (200, "warn")
    assert failed.status_code == 503
    assert failed.text.startswith("fail: db: ")


def test_status_and_metrics_tell_each_rule_with_its_value_its_threshold_and_its_last_error(
    adapter: StartAdapter,
) -> None:
    with App({"/metrics": page(up=0)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES)
        running.get("/health")
        app.behaviours["/metrics"] = page()
        running.get("/health")

    told = running.status()["routes"]["/health"]["verdict"]
    db = told["checks"]["db"]
    assert told["status"] == "pass"
    assert (db["status"], db["value"], db["threshold"]) == ("pass", 1, 1)
    assert "0" in db["last_error"]["reason"]
    assert db["since"] > db["last_error"]["at"]
    assert told["checks"]["queue"]["last_error"] is None
    assert running.metric("adapter_rule_value", route="/health", rule="queue") == 3
    assert running.metric("adapter_rule_pass", route="/health", rule="db") == 1
    assert running.metric("adapter_verdict", route="/health", status="pass") == 1


def test_a_bad_rule_is_a_bad_setting_told_with_its_column(start: Start) -> None:
    program = start("adapter", ADAPTER_MODE="verdict", ADAPTER_RULES="db: up == 1; queue: depth <> 10")

    assert program.wait() == 78
    said = program.logs[-1]["msg"]
    assert said.startswith("ADAPTER_RULES=")
    assert "column" in said
    assert "^" in said


def test_rules_by_file_are_followed_and_a_bad_new_file_keeps_the_old(adapter: StartAdapter, tmp_path: Path) -> None:
    file = tmp_path / "rules"

    def write(text: str) -> None:
        file.with_name("new").write_text(text)
        file.with_name("new").replace(file)

    write("db: up == 1")
    with App({"/metrics": page(depth=12)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES_FILE=str(file))
        assert running.get("/health").status_code == 200
        assert running.metric("adapter_rules_current", app="default") == 1

        write("queue: depth < 10")
        assert running.get("/health").text.startswith("fail: queue: ")
        write("queue: depth <> 10")
        assert running.get("/health").text.startswith("fail: queue: ")
        assert "column" in running.status()["rules"]["default"]
        assert running.metric("adapter_rules_current", app="default") == 0
        write("queue: depth < 100")
        assert running.get("/health").status_code == 200
    assert running.program.logged("the new rules cannot be used; the earlier ones stay in force")


def test_what_is_holding_a_verdict_is_told(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES, ADAPTER_FAIL_AFTER="2")
        running.get("/health")
        app.behaviours["/metrics"] = page(up=0)

        held_back, failed = running.get("/health"), running.get("/health")

    assert held_back.status_code == 200
    assert held_back.text.startswith("warn: failed 1 of 2 times in a row; db: ")
    assert failed.status_code == 503


def test_an_app_that_is_not_there_yet_is_a_warning_in_the_grace(adapter: StartAdapter) -> None:
    running = adapter(f"http://127.0.0.1:{free_port()}", ADAPTER_MODE="verdict", ADAPTER_GRACE="1h")

    response = running.get("/health")

    assert response.status_code == 200
    assert response.text.startswith("warn: start-up grace, ")
    assert "connection refused" in response.text
    assert running.status()["routes"]["/health"]["verdict"]["holding"].startswith("start-up grace")


def test_whatever_the_app_does_a_verdict_is_503_and_the_reason(
    adapter: StartAdapter,
    failing: dict[str, Behaviour],  # noqa: F811 - the fixture
) -> None:
    with App(failing) as app:
        running = adapter(
            app.url,
            ",".join(f"{path}={path}" for path in failing),
            ADAPTER_MODE="verdict",
            ADAPTER_TIMEOUT="300ms",
            ADAPTER_MAX_BODY="64KiB",
        )
        for path, (_, _, words) in zip(failing, FAILURES.values(), strict=True):
            response = running.get(path)

            assert response.status_code == 503, path
            assert words.replace("400ms", "300ms") in response.text, path
            assert len(response.content) < 4096
    assert "Traceback" not in running.program.stderr


@pytest.mark.parametrize("mode", ["verdict", "metrics"])
def test_a_compression_bomb_is_refused(adapter: StartAdapter, mode: str) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    with App({"/metrics": answer(bomb, headers=b"Content-Encoding: gzip\r\n")}) as app:
        response = adapter(app.url, ADAPTER_MODE=mode, ADAPTER_MAX_BODY="1MiB").get("/health")

    assert response.status_code == 503
    assert "answered with more than 1MiB once unpacked" in response.text


@pytest.mark.parametrize("mode", ["forward", "verdict", "metrics"])
def test_a_redirect_leads_nowhere(adapter: StartAdapter, mode: str) -> None:
    with App({"/": page()}) as elsewhere:
        location = f"Location: {elsewhere.url}/\r\n".encode()
        with App({"/metrics": answer(b"", "302 Found", location)}) as app:
            response = adapter(app.url, ADAPTER_MODE=mode).get("/health")

        assert elsewhere.connections == 0
    assert response.status_code == (302 if mode == "forward" else 503)
    if mode != "forward":
        assert "answered with the status 302" in response.text


def test_an_app_cannot_split_the_response(adapter: StartAdapter) -> None:
    split = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\rX-Evil: 1\r\nContent-Length: 2\r\n\r\nok"
    with App({"/metrics": raw(split)}) as app:
        received = adapter(app.url).raw(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert b"evil" not in received.lower()


def test_malformed_metrics_are_refused_whole_with_the_line(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(b"up 1\nup{ 2\n")}) as app:
        response = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES="db: up == 1").get("/health")

    assert response.status_code == 503
    assert "malformed metrics: line 2" in response.text


def test_an_app_that_answers_ever_new_garbage_is_answered_for_in_every_mode(adapter: StartAdapter) -> None:
    dice = random.Random(8)
    whole = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 5\r\n\r\nup 1\n",
        b'HTTP/1.1 503 X\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"status": "DOWN"}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n" + gzip.compress(b"up 1\n"),
    ]

    async def garbage(exchange: Exchange) -> None:
        said = bytearray(dice.choice(whole))
        for _ in range(dice.randrange(6)):
            place = dice.randrange(len(said))
            said[place : place + dice.randrange(4)] = dice.randbytes(dice.randrange(4))
        await exchange.send(bytes(said))
        exchange.close()

    with App({"/x": garbage}) as app:
        running = adapter(
            app.url, "/f=/x,/v=/x,/m=/x", ADAPTER_MODE="forward,/v=verdict,/m=metrics", ADAPTER_TIMEOUT="300ms"
        )
        asked = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        seen = {running.raw(asked % path).split(b" ", 2)[1] for path in (b"/f", b"/v", b"/m") * 60}

        assert {b"200", b"503"} <= seen
        assert running.program.stop() == 0
    assert "Traceback" not in running.program.stderr
    assert "defect" not in running.program.stderr


# -- metrics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hangs in the body", "closes in a chunk", "announces a huge body", "sends noise"])
def test_whatever_the_app_does_metrics_are_503_and_the_reason(adapter: StartAdapter, name: str) -> None:
    behaviour, _, words = FAILURES[name]
    with App({"/metrics": behaviour}) as app:
        running = adapter(app.url, ADAPTER_MODE="metrics", ADAPTER_TIMEOUT="400ms", ADAPTER_MAX_BODY="64KiB")
        response = running.get("/health")

    assert response.status_code == 503
    assert words in response.text


def test_metrics_are_told_from_springs_health_also_with_503(adapter: StartAdapter) -> None:
    behaviour = answer(json.dumps(SPRING).encode(), "503 Service Unavailable", JSON)
    with App({"/actuator/health": behaviour}) as app:
        running = adapter(app.url, "/metrics=/actuator/health", ADAPTER_MODE="metrics")
        response = running.get("/metrics")
        openmetrics = running.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")

        assert b"application/json" in app.heads[0]
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    found = samples(response.text)
    assert found["health_up", ()] == 0
    assert found["health_check_up", (("check", "db/users"),)] == 0
    assert found["health_check_value", (("check", "diskSpace"), ("name", "free"))] == 91300069376
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    parsed = parse_openmetrics(openmetrics.text)  # type: ignore[no-untyped-call] # it has no types
    assert {family.name for family in parsed} >= {"health_up", "health_check_up"}


def test_numbers_are_selected_from_json_of_any_kind(adapter: StartAdapter) -> None:
    with App({"/info": answer(b'{"queue": {"depth": 7, "state": "UP"}}', headers=JSON)}) as app:
        running = adapter(
            app.url,
            "/metrics=/info,/health=/info",
            ADAPTER_MODE="metrics,/health=verdict",
            ADAPTER_SELECT="queue_depth=$.queue.depth; queue_up=$.queue.state",
            ADAPTER_RULES="queue: queue_depth < 5",
        )
        found = samples(running.get("/metrics").text)

        assert running.get("/health").status_code == 503
    assert found["queue_depth", ()] == 7
    assert found["queue_up", ()] == 1


# -- several apps -------------------------------------------------------------------------------------------------


def test_several_apps_are_one_verdict(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as shop, App({"/metrics": page(depth=50)}) as cart:
        running = adapter(
            "",
            "",
            ADAPTER_MODE="verdict",
            ADAPTER_RULES=RULES,
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_CART_TARGET=cart.url,
            ADAPTER_CART_RULES="queue: depth < 40 fail",
        )
        response = running.get("/health")

        assert response.status_code == 503
        assert response.text.startswith("fail: cart/queue: ")
        assert "\nshop/queue pass" in response.text
        assert running.status()["routes"]["/health"]["asks"] == {
            "cart": f"{cart.url}/metrics",
            "shop": f"{shop.url}/metrics",
        }


def test_several_apps_are_one_exposition_with_a_label_that_tells_which_failed(adapter: StartAdapter) -> None:
    health = answer(b'{"status": "UP"}', headers=JSON)
    with App({"/metrics": page()}) as shop, App({"/health": health}) as cart:
        running = adapter(
            "",
            "",
            ADAPTER_MODE="metrics",
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_SHOP_ROUTES="/metrics=/metrics",
            ADAPTER_CART_TARGET=cart.url,
            ADAPTER_CART_ROUTES="/metrics=/health",
        )
        whole = running.get("/metrics")
        cart.behaviours["/health"] = raw()
        half = running.get("/metrics")
        shop.behaviours["/metrics"] = raw()
        nothing = running.get("/metrics")

    found = samples(whole.text)
    assert found["up", (("app", "shop"),)] == found["health_up", (("app", "cart"),)] == 1
    assert found["adapter_app_up", (("app", "cart"),)] == found["adapter_app_up", (("app", "shop"),)] == 1
    found = samples(half.text)
    assert half.status_code == 200
    assert found["up", (("app", "shop"),)] == 1
    assert found["adapter_app_up", (("app", "cart"),)] == 0
    assert nothing.status_code == 503
    assert "it closed the connection" in nothing.text


# -- many probers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["verdict", "metrics"])
def test_a_thousand_probes_at_once_are_one_request_to_the_app(adapter: StartAdapter, mode: str) -> None:
    release = threading.Event()
    with App({"/metrics": held(release, page())}) as app:
        running = adapter(app.url, "/health=/metrics,/live=/metrics", ADAPTER_MODE=mode, ADAPTER_TIMEOUT="20s")

        statuses = asyncio.run(probe_together(running.port, ["/health", "/live"] * 500, release.set))

        assert app.seen == {"/metrics": 1}
    assert statuses == [200] * 1000


@pytest.mark.parametrize("mode", ["forward", "verdict", "metrics"])
def test_what_an_app_has_answered_is_used_again_for_as_long_as_is_set(adapter: StartAdapter, mode: str) -> None:
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MODE=mode, ADAPTER_CACHE_TTL="1h")

        assert {running.get("/health").status_code for _ in range(20)} == {200}
        assert app.seen == {"/metrics": 1}


def test_a_failure_is_kept_like_any_answer(adapter: StartAdapter) -> None:
    with App({"/metrics": raw()}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_CACHE_TTL="1h", ADAPTER_FAIL_AFTER="5")

        assert {running.get("/health").status_code for _ in range(20)} == {503}
        assert app.connections == 1


def test_a_scrapers_own_timeout_shortens_the_deadline_and_spoils_nothing_for_others(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": held(release, page())}) as app:
        running = adapter(app.url, "/metrics=/metrics", ADAPTER_MODE="metrics", ADAPTER_TIMEOUT="20s")
        patient: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: patient.append(running.get("/metrics")))
        thread.start()
        wait_until(lambda: app.seen["/metrics"], "the request of the patient one to reach the app")

        impatient = running.get("/metrics", X_Prometheus_Scrape_Timeout_Seconds="0.2")
        release.set()
        thread.join(20)

        assert app.seen == {"/metrics": 1}
    assert impatient.status_code == 503
    assert "has not answered yet after the 180ms that the scrape leaves" in impatient.text
    assert patient[0].status_code == 200


def test_one_slow_app_does_not_keep_back_what_the_others_say(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as shop, App({"/metrics": hang()}) as cart:
        running = adapter(
            "",
            "/metrics=/metrics",
            ADAPTER_MODE="metrics",
            ADAPTER_TIMEOUT="20s",
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_CART_TARGET=cart.url,
        )
        found = samples(running.get("/metrics", X_Prometheus_Scrape_Timeout_Seconds="0.5").text)

    assert found["up", (("app", "shop"),)] == 1
    assert found["adapter_app_up", (("app", "cart"),)] == 0


@pytest.mark.parametrize("timeout", ["x", "", "-1", "0", "nan", "inf", "1e9"])
def test_a_timeout_that_is_none_changes_nothing(adapter: StartAdapter, timeout: str) -> None:
    with App({"/metrics": page()}) as app:
        assert adapter(app.url).get("/health", X_Prometheus_Scrape_Timeout_Seconds=timeout).status_code == 200


def test_one_connection_too_many_is_told_so(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MAX_CONNECTIONS="2")
        holders = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        for holder in holders:
            holder.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert holder.recv(65536).startswith(b"HTTP/1.1 200 ")

        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as one_more:
            assert one_more.recv(65536).startswith(b"HTTP/1.1 503 ")
        for holder in holders:
            holder.close()
        wait_until(lambda: running.get("/health").status_code == 200, "there is room again")


# -- to the app: TLS and credentials --------------------------------------------------------------------------------


class Authority:
    """A CA, and files of what it signs."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.ca = folder, name, trustme.CA()
        self.file = str(folder / f"{name}-ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, host: str = "127.0.0.1") -> str:
        """A file of a certificate and its key."""
        path = str(self.folder / f"{self.name}-{host}.pem")
        self.ca.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def server(self, *, demanding: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("127.0.0.1").configure_cert(context)
        if demanding:
            self.ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        return context


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "theirs")


def test_an_app_is_asked_over_tls_and_shown_a_certificate(adapter: StartAdapter, ours: Authority) -> None:
    with App({"/metrics": page()}, tls=ours.server(demanding=True)) as app:
        running = adapter(app.url, ADAPTER_TARGET_CA=ours.file, ADAPTER_TARGET_CERT=ours.issue("client"))
        assert [running.get("/health").status_code for _ in range(3)] == [200] * 3
        assert app.connections == 1


def test_an_app_whose_certificate_is_not_trusted_is_not_asked(
    adapter: StartAdapter, ours: Authority, theirs: Authority
) -> None:
    with App({"/metrics": page()}, tls=theirs.server()) as app:
        running = adapter(app.url, ADAPTER_TARGET_CA=ours.file)
        response = running.get("/health")

        assert not app.seen
        with httpx.Client(verify=theirs.client(), trust_env=False) as client:  # who trusts it can ask it
            assert client.get(f"{app.url}/metrics", headers={"Connection": "close"}).is_success
    assert response.status_code == 503
    assert "its certificate is not trusted" in response.text
    assert running.metric("adapter_upstream_errors_total", app="default", reason="tls") == 1


def test_an_app_that_speaks_no_tls_is_told_as_that(adapter: StartAdapter) -> None:
    plain = adapter("http://127.0.0.1:1")
    response = adapter(f"https://127.0.0.1:{plain.admin}", "/health=/livez").get("/health")

    assert response.status_code == 503
    assert "TLS failed: wrong version number" in response.text


def test_a_new_authority_counts_at_the_next_request(adapter: StartAdapter, ours: Authority, theirs: Authority) -> None:
    with App({"/metrics": page()}, tls=ours.server()) as app:
        running = adapter(app.url, ADAPTER_TARGET_CA=ours.file)
        assert running.get("/health").status_code == 200

        Path(theirs.file).replace(ours.file)

        assert "not trusted" in running.get("/health").text


def test_a_token_by_file_is_sent_and_a_new_one_counts_at_once(adapter: StartAdapter, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_TARGET_TOKEN_FILE=str(file))
        running.get("/health")
        file.write_text("second\n")
        running.get("/health")
        file.unlink()
        gone = running.get("/health")

        sent = [head for head in app.heads if b"authorization: bearer" in head.lower()]
        assert [b"first" in head for head in sent] == [True, False]
        assert b"second" in sent[1]
    assert gone.status_code == 503
    assert "ADAPTER_TARGET_TOKEN cannot be read any more" in gone.text
    assert "first" not in running.program.stderr + str(running.status())


def test_a_name_and_a_password_are_sent(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as app:
        adapter(app.url, ADAPTER_TARGET_USERNAME="joe", ADAPTER_TARGET_PASSWORD="hunter2").get("/health")

        assert b"basic am9lOmh1bnRlcjI=" in app.heads[0].lower().replace(b"am9lomh1bnrlcji=", b"am9lOmh1bnRlcjI=")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ADAPTER_TARGET_CA", "cannot be read"),
        ("ADAPTER_TLS_CERT", "cannot be read"),
        ("ADAPTER_BASIC_AUTH", "htpasswd"),
    ],
)
def test_files_that_cannot_be_used_are_bad_settings(start: Start, name: str, why: str) -> None:
    program = start("adapter", **{"ADAPTER_TARGET": "https://127.0.0.1:1", name: "/nowhere"})

    assert program.wait() == 78
    assert name in program.logs[-1]["msg"]
    assert why in program.logs[-1]["msg"]


# -- on its own port ------------------------------------------------------------------------------------------------


def ask(running: Adapter, context: ssl.SSLContext) -> int:
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.get(f"https://127.0.0.1:{running.port}/health").status_code


def test_it_speaks_tls_to_who_shows_a_certificate_and_follows_its_files(
    adapter: StartAdapter, ours: Authority, theirs: Authority
) -> None:
    mine = ours.issue()
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_TLS_CERT=mine, ADAPTER_CLIENT_CA=theirs.file)
        client, renewed = ours.client(), theirs.client()
        with pytest.raises(httpx.TransportError):
            ask(running, client)
        theirs.ca.issue_cert("monitor").configure_cert(client)
        assert ask(running, client) == 200

        Path(theirs.issue()).replace(mine)

        theirs.ca.issue_cert("monitor").configure_cert(renewed)
        assert ask(running, renewed) == 200
        with pytest.raises(httpx.TransportError):
            ask(running, client)


def test_only_who_is_known_may_ask(adapter: StartAdapter, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"prometheus:{bcrypt.hashpw(b'hunter2', bcrypt.gensalt(10)).decode()}\n")
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_BASIC_AUTH_FILE=str(users), ADAPTER_TOKEN="t0ken")
        url = f"http://127.0.0.1:{running.port}/health"
        with httpx.Client(trust_env=False, timeout=20) as client:
            known = [client.get(url, auth=("prometheus", "hunter2")).status_code for _ in range(3)]
            wrong = client.get(url, auth=("prometheus", "guess")).status_code
            token = client.get(url, headers={"Authorization": "Bearer t0ken"}).status_code
            nobody = client.get(url)

        assert app.seen["/metrics"] == 4
    assert (known, wrong, token, nobody.status_code) == ([200] * 3, 401, 200, 401)
    assert nobody.headers["WWW-Authenticate"] == 'Basic realm="adapter", Bearer'
    assert running.metric("adapter_requests_total", route="other", code="401") == 2
    assert "hunter2" not in running.program.stderr
    assert "t0ken" not in running.program.stderr + str(running.status())


# -- HAProxy's agent-check, by hand (the real HAProxy is in test_consumers.py) --------------------------------------


def line(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        received = b""
        while part := connection.recv(4096):
            received += part
        return received


def test_an_agent_check_is_one_line_whatever_is_sent(adapter: StartAdapter) -> None:
    port = free_port()
    with App({"/metrics": page()}) as app:
        running = adapter(
            app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES, ADAPTER_AGENT_LISTEN=f"127.0.0.1:{port}"
        )
        assert line(port) == b"up\n"
        app.behaviours["/metrics"] = page(up=0)
        assert line(port).startswith(b"down #db: ")
        app.behaviours["/metrics"] = hang()
        assert b"did not answer within 750ms" in line(port)
        assert running.program.stop() == 0


def test_an_agent_check_that_never_reads_holds_nothing_up(adapter: StartAdapter) -> None:
    port = free_port()
    with App({"/metrics": endless(b"x", pause=0.05)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_AGENT_LISTEN=f"127.0.0.1:{port}")
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        assert line(port).startswith(b"down #")
        assert running.program.stop() == 0
        for each in waiting:
            each.close()


# -- what is not told -----------------------------------------------------------------------------------------------


def test_the_apps_own_words_reach_the_prober_and_no_log_or_status(adapter: StartAdapter) -> None:
    document = b'{"status": "DOWN", "components": {"db": {"status": "DOWN", "details": {"error": "hunter2 is wrong"}}}}'
    with App({"/metrics": answer(document, "503 Service Unavailable", JSON)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_LOG_LEVEL="debug")
        response = running.get("/health")
        failed = running.program.wait_logged("the route fails")

    assert "db: hunter2 is wrong" in response.text
    assert "db: the app says fail" in failed["reason"]
    assert "hunter2" not in running.program.stderr + str(running.status())
