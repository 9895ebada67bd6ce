"""Faulty pages, as real apps write them: the adapter has the samples that a real Prometheus has."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families

from tests.adapter.conftest import StartAdapter
from tests.adapter.prometheus import scraping
from tests.adapter.support import App, Behaviour, page, respond, samples, send_raw

TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

SERVING = "# HELP serving Ready.\n# TYPE serving gauge\nserving 1\n"
HISTOGRAM = "# TYPE jobs histogram\n"
TORN = 'jobs_bucket{le="1"} 1\njobs_bucket{le="+Inf"} 2\njobs_sum 1\njobs_count 3\n'

# The Content-Type, the page, and True if a rule about `serving` can be judged.
PAGES: dict[str, tuple[str, str, bool]] = {
    "right": (TEXT, SERVING, True),
    # Nothing is lost.
    "text/html": ("text/html; charset=utf-8", SERVING, True),
    "application/json": ("application/json", SERVING, True),
    "text/prometheus": ("text/prometheus", SERVING, True),
    "another version": ("text/plain; version=0.0.3", SERVING, True),
    "no Content-Type": ("", SERVING, True),
    "no last line feed": (TEXT, SERVING.rstrip("\n"), True),
    "HELP and TYPE twice": (TEXT, SERVING + SERVING.replace("serving 1", 'serving{from="agent"} 1'), True),
    "TYPE twice": (TEXT, f"{SERVING}# TYPE serving gauge\n", True),
    "two types": (TEXT, f"# TYPE serving counter\n{SERVING}", True),
    "TYPE after its samples": (TEXT, "serving 1\n# TYPE serving gauge\n", True),
    "HELP after its samples": (TEXT, "serving 1\n# HELP serving Ready.\n", True),
    "all types first": (TEXT, "# TYPE serving gauge\n# TYPE jobs gauge\nserving 1\njobs 2\n", True),
    "interleaved": (TEXT, 'serving{zone="a"} 1\njobs 1\nserving{zone="b"} 1\n', True),
    "a series twice, the same value": (TEXT, "serving 1\nserving 1\n", True),
    "a path of Windows": (TEXT, f'{SERVING}disk_free{{path="C:\\temp"}} 1\n', True),
    "a regex in HELP": (TEXT, f"# HELP jobs Like \\d+.\njobs 1\n{SERVING}", True),
    "HELP of nothing": (TEXT, f"# HELP\n{SERVING}", True),
    "OpenMetrics: a quote in HELP": (OPENMETRICS, '# HELP serving The "right" one.\nserving 1\n# EOF\n', True),
    "OpenMetrics: interleaved": (OPENMETRICS, 'serving{zone="a"} 1\njobs 1\nserving{zone="b"} 1\n# EOF\n', True),
    "OpenMetrics: a long exemplar": (
        OPENMETRICS,
        f'# TYPE jobs counter\njobs_total 1 # {{trace_id="{"x" * 121}"}} 1\nserving 1\n# EOF\n',
        True,
    ),
    "OpenMetrics: a counter without _total": (OPENMETRICS, "# TYPE serving counter\nserving 1\n# EOF\n", True),
    # A family that no rule selects is dropped.
    "a torn histogram": (TEXT, f"{SERVING}{HISTOGRAM}{TORN}", True),
    "falling buckets": (
        TEXT,
        f'{HISTOGRAM}jobs_bucket{{le="1"}} 2\njobs_bucket{{le="+Inf"}} 1\n{SERVING}',
        True,
    ),
    "no +Inf": (TEXT, f'{HISTOGRAM}jobs_bucket{{le="1"}} 2\njobs_sum 1\njobs_count 2\n{SERVING}', True),
    "unsorted le": (
        TEXT,
        f'{HISTOGRAM}jobs_bucket{{le="2"}} 1\njobs_bucket{{le="1"}} 1\njobs_bucket{{le="+Inf"}} 2\n{SERVING}',
        True,
    ),
    "a series twice, another value": (TEXT, f"jobs 1\njobs 2\n{SERVING}", True),
    "one name in two types": (
        TEXT,
        f'{SERVING}# TYPE jobs summary\njobs_sum 1\njobs_count 1\n# TYPE jobs_count counter\njobs_count{{a="1"}} 1\n',
        True,
    ),
    "OpenMetrics: a negative quantile": (
        OPENMETRICS,
        '# TYPE jobs summary\njobs{quantile="0.5"} -2\njobs_sum -4\njobs_count 2\nserving 1\n# EOF\n',
        True,
    ),
    "OpenMetrics: a counter that is negative": (
        OPENMETRICS,
        "# TYPE jobs counter\njobs_total -1\nserving 1\n# EOF\n",
        True,
    ),
    # Prometheus refuses these pages. The adapter uses their valid samples.
    "OpenMetrics's types in text": (TEXT, f"# TYPE build info\nbuild_info 1\n{SERVING}", True),
    "TYPE without a type": (TEXT, f"# TYPE jobs\njobs 1\n{SERVING}", True),
    "too large a number": (TEXT, f"jobs 1e999\n{SERVING}", True),
    "too large a timestamp": (TEXT, f"jobs 1 {'9' * 5000}\n{SERVING}", True),
    "OpenMetrics: too large a timestamp": (OPENMETRICS, "jobs 1 1e400\nserving 1\n# EOF\n", True),
    "OpenMetrics: a unit that is not in the name": (OPENMETRICS, "# UNIT serving seconds\nserving 1\n# EOF\n", True),
    # Not a page of metrics, or its end is missing.
    "a page for people": ("text/html", "<html><body>login</body></html>", False),
    "a value that is none": (TEXT, f"{SERVING}jobs null\n", False),
    "a NaN of C": (TEXT, f"{SERVING}jobs -nan\n", False),
    "a timestamp with a fraction": (TEXT, f"{SERVING}jobs 1 1700000000.5\n", False),
    "an exemplar in text": (TEXT, f'{SERVING}jobs_total 1 # {{trace_id="x"}} 1\n', False),
    "a dot in a label's name": (TEXT, f'{SERVING}jobs{{k8s.pod="x"}} 1\n', False),
    "carriage returns": (TEXT, SERVING.replace("\n", "\r\n"), False),
    "OpenMetrics: no EOF": (OPENMETRICS, SERVING, False),
    "OpenMetrics: an empty line": (OPENMETRICS, f"{SERVING}\n# EOF\n", False),
    "OpenMetrics: bytes after EOF": (OPENMETRICS, f"{SERVING}# EOF\n\n", False),
    # The sample's timestamp is in the future.
    "a timestamp of the next century": (TEXT, "serving 1 4102444800000\n", False),
    "OpenMetrics: a timestamp in milliseconds": (OPENMETRICS, "serving 1 1700000000000\n# EOF\n", False),
    # Prometheus takes the first of the two values.
    "the series itself twice": (TEXT, "serving 1\nserving 0\n", False),
}
STRICTER = {"the series itself twice"}  # than Prometheus


def behaviour(content_type: str, body: str) -> Behaviour:
    return respond(body.encode(), headers=f"Content-Type: {content_type}\r\n".encode() if content_type else b"")


def test_a_rule_is_judged_wherever_prometheus_has_the_sample_and_what_is_handed_on_is_a_valid_page(
    adapter: StartAdapter, tmp_path: Path
) -> None:
    numbered = {str(number): name for number, name in enumerate(PAGES)}
    behaviours = {f"/{n}": behaviour(*PAGES[name][:2]) for n, name in numbered.items()}
    with App(behaviours) as app:
        running = adapter(
            app.url,
            ",".join(f"/health/{n}=/{n},/metrics/{n}=/{n}" for n in numbered),
            ADAPTER_MODE=",".join(["verdict", *(f"/metrics/{n}=metrics" for n in numbered)]),
            ADAPTER_RULES="serving: serving == 1",
        )
        judged = {name: running.get(f"/health/{n}").status_code == 200 for n, name in numbered.items()}
        targets = {f"app {n}": (app.port, f"/{n}") for n in numbered}
        targets |= {f"adapter {n}": (running.port, f"/metrics/{n}") for n in numbered}
        with scraping(tmp_path, targets) as prometheus:
            there = prometheus.jobs("serving", (f"adapter {n}" for n, name in numbered.items() if judged[name]))
        pages = {
            name: running.get(f"/metrics/{n}", Accept="application/openmetrics-text;version=1.0.0")
            for n, name in numbered.items()
        }

    assert judged == {name: wanted for name, (_, _, wanted) in PAGES.items()}
    for n, name in numbered.items():
        scraped = f"app {n}" in there
        assert judged[name] or not scraped or name in STRICTER, name
        assert (f"adapter {n}" in there) == judged[name], name
        if judged[name]:
            families = openmetrics_families(pages[name].text)  # type: ignore[no-untyped-call] # it has no types
            assert "serving" in {sample.name for family in families for sample in family.samples}, name


def test_an_app_whose_histogram_is_torn_stays_healthy_and_only_a_rule_about_it_fails(adapter: StartAdapter) -> None:
    torn = respond(f"{SERVING}{HISTOGRAM}{TORN}".encode())
    whole = respond(f"{SERVING}{HISTOGRAM}{TORN.replace('count 3', 'count 2')}".encode())
    with App({"/metrics": torn}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES="serving: serving == 1")
        about_it = adapter(
            app.url, ADAPTER_MODE="verdict", ADAPTER_RULES="few: jobs_count < 100; serving: serving == 1"
        )
        for _ in range(20):
            app.behaviours["/metrics"] = torn
            assert running.get("/health").text.startswith("pass")
            failed = about_it.get("/health")
            app.behaviours["/metrics"] = whole
            assert running.get("/health").text.startswith("pass")
            assert about_it.get("/health").text.startswith("pass")

    assert failed.status_code == 503
    assert failed.text.splitlines()[0] == (
        'fail: few: jobs_count cannot be used: line 5: jobs_count is 3, but its bucket with le="+Inf" is 2'
    )
    assert "serving pass" in failed.text


def test_status_the_metrics_and_the_log_tell_the_faults_of_a_page(adapter: StartAdapter) -> None:
    faulty = f"{SERVING}{HISTOGRAM}{TORN}# TYPE serving gauge\n"
    with App({"/metrics": respond(faulty.encode())}) as app:
        running = adapter(app.url, "/metrics=/metrics", ADAPTER_MODE="metrics")
        handed_on = [running.get("/metrics") for _ in range(3)]
        told = running.status()["metrics_pages"]["default"]
        assert running.metric("adapter_families_left_out", app="default") == 1
        assert running.metric("adapter_page_faults_total", app="default", kind="torn") == 3
        assert running.metric("adapter_page_faults_total", app="default", kind="metadata") == 3
        assert running.metric("adapter_page_faults_total", app="default", kind="syntax") == 0

        app.behaviours["/metrics"] = page()
        running.get("/metrics")
        assert running.metric("adapter_families_left_out", app="default") == 0

    assert told["families_left_out"] == 1
    assert told["faults"] == {"torn": 3, "metadata": 3}
    assert told["last_faults"]["reasons"] == [
        'jobs is left out: line 5: jobs_count is 3, but its bucket with le="+Inf" is 2',
        "line 9: TYPE of serving must stand before its samples, and is not used here",
    ]
    assert all(samples(one.text) == {("serving", ()): 1.0} for one in handed_on)
    assert sum(line["msg"] == "the app's page of metrics has faults" for line in running.program.logs) == 1


def test_a_page_that_may_have_been_cut_within_its_last_line_fails(adapter: StartAdapter) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
    whole = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SERVING) - 1, SERVING.rstrip("\n").encode())
    with App({"/metrics": send_raw(head + b"\r\n", SERVING.rstrip("\n").encode())}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES="serving: serving == 1")
        cut = running.get("/health")
        app.behaviours["/metrics"] = send_raw(head + b"Transfer-Encoding: chunked\r\n\r\n", whole)
        assert running.get("/health").status_code == 200

    assert cut.status_code == 503
    assert "line 3: the page ends within this line" in cut.text


def test_a_setting_names_the_format_that_the_content_type_gets_wrong(adapter: StartAdapter) -> None:
    mislabelled = respond(b'# TYPE jobs counter\njobs_total 5 # {trace_id="x"} 1\n# EOF\n')
    with App({"/metrics": mislabelled}) as app:
        refused = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES="jobs: jobs_total < 9").get("/health")
        named = adapter(
            app.url,
            ADAPTER_MODE="verdict",
            ADAPTER_RULES="jobs: jobs_total < 9",
            ADAPTER_SOURCE_FORMAT="openmetrics",
        ).get("/health")

    assert (refused.status_code, named.status_code) == (503, 200)


def test_a_large_page_is_written_in_another_format_or_the_scraper_is_told_in_time(adapter: StartAdapter) -> None:
    large = SERVING + "".join(f'jobs{{n="{n}"}} 1\n' for n in range(20_000))
    openmetrics = {"Accept": "application/openmetrics-text;version=1.0.0"}
    with App({"/metrics": respond(large.encode())}) as app:
        running = adapter(app.url, "/metrics=/metrics", ADAPTER_MODE="metrics")
        written = running.get("/metrics", **openmetrics)
        late = running.get("/metrics", X_Prometheus_Scrape_Timeout_Seconds="0.001", **openmetrics)

    assert written.status_code == 200
    assert written.text.endswith("# EOF\n")
    assert written.text.count("\n") == 20_000 + 5
    assert late.status_code == 503


def test_a_page_of_four_mebibytes_of_nothing_is_read(adapter: StartAdapter) -> None:
    large = SERVING.encode() + b"\n" * (4 * 1024 * 1024 - 1000)
    with App({"/metrics": respond(large)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES="serving: serving == 1")
        assert running.get("/health").status_code == 200
