"""What each sidecar takes and how long its container starts: `python -m benchmarks.sizing`, with a container engine.

The four images run as containers of one Pod, idle and then under a modest load: LINES log lines and REQUESTS requests a
second, and a probe of the adapter each second. Memory is the working set as the engine counts it, which is what the
kubelet compares with the request: all that the container's cgroup holds, without the page cache that can be dropped.
CPU time is that of the container's processes. The app of the Pod is Python in the adapter's image, so it is not
measured. Start is the time from `docker run` until /livez answers, and the CPU time of the sidecar until then.

A figure is at most the request of the manifests. `docs/explanation/sizing.md` has the results of one run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from pathlib import Path

from benchmarks.figures import Figure, conclude, refuse
from tools.names import SIDECARS, image

LINES, REQUESTS, SECONDS = 500, 100, 30
REQUESTED = {"warcopier": 32, "logshipper": 48, "ambassador": 48, "adapter": 32}  # MiB, as in the manifests
CPU = {"warcopier": 10, "logshipper": 20, "ambassador": 20, "adapter": 10}  # thousandths of a core
UNITS = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}

APP = """
import http.server, os, sys, threading, time, urllib.request
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/plain")
        body = b"requests_total 1\\n" * 50 if self.path == "/metrics" else b"ok\\n"
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *_): pass
for port in (8080, 8088):
    threading.Thread(target=http.server.ThreadingHTTPServer(("", port), App).serve_forever, daemon=True).start()
def every(seconds, work):
    due = time.monotonic()
    while True:
        try: work()
        except OSError: pass
        due = max(due + seconds, time.monotonic() - 1); time.sleep(max(0, due - time.monotonic()))
def get(url): urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30).read()
log = open("/logs/app.log", "a", buffering=1)
log.write("started\\n")
while not os.path.exists("/tmp/load"): time.sleep(0.1)
lines, requests = int(sys.argv[1]), int(sys.argv[2])
def write():
    for _ in range(lines // 10): log.write("2026-01-01 00:00:00 INFO " + "some words " * 7 + "\\n")
threading.Thread(target=every, args=(0.1, write), daemon=True).start()
threading.Thread(target=every, args=(1, lambda: get("http://127.0.0.1:8081/health")), daemon=True).start()
every(1 / requests, lambda: get("http://127.0.0.1:8500/"))
"""
SETTINGS = {
    "warcopier": ["WARCOPIER_WATCH=true"],
    "logshipper": ["LOGSHIPPER_PATHS=/logs/*.log", "LOGSHIPPER_SINK=http://127.0.0.1:8088/"],
    "ambassador": ["AMBASSADOR_UPSTREAM=http://127.0.0.1:8080", "AMBASSADOR_MAX_CONNECTIONS=256"],
    "adapter": [],
}


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


class Pod:
    """Containers in one network, removed at the end."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.key = uuid.uuid4().hex[:8]

    def start(self, name: str, *arguments: str) -> float:
        """Start a container. Return the seconds until the engine has started it."""
        container = self.names[name] = f"sizing-{self.key}-{name}"
        network = f"container:{self.names['pod']}" if name != "pod" else "none"
        begun = time.monotonic()
        docker(
            "run", "--detach", "--name", container, "--network", network, "--read-only", "--cap-drop", "ALL", *arguments
        )
        return time.monotonic() - begun

    def wait_live(self, name: str) -> None:
        """Wait until /livez answers, in the network of the Pod."""
        pid = docker("inspect", "--format", "{{.State.Pid}}", self.names[name])
        port = {"warcopier": 9911, "logshipper": 9912, "ambassador": 9913, "adapter": 9914}[name]
        ask = ["nsenter", "--target", pid, "--net", sys.executable, "-c"]
        code = (
            "import time, urllib.request, urllib.error\nwhile True:\n"
            f" try: urllib.request.urlopen('http://127.0.0.1:{port}/livez'); break\n except OSError: time.sleep(0.005)"
        )
        subprocess.run([*ask, code], check=True, timeout=60, env={"PATH": os.environ["PATH"]})

    def memory(self, name: str) -> float:
        """Return the working set in MiB."""
        text = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", self.names[name])
        found = re.match(r"([\d.]+)([KMG]iB)", text)
        assert found is not None, text
        return float(found[1]) * UNITS[found[2]]

    def cpu(self, name: str) -> float:
        """Return the seconds of CPU that the first process of the container, and its threads, have used."""
        pid = docker("inspect", "--format", "{{.State.Pid}}", self.names[name])
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def remove(self) -> None:
        for name in reversed(self.names.values()):
            subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)


Measured = dict[str, tuple[float, float]]


def measure(pod: Pod, state: str) -> Measured:
    """Return the working set in MiB and the thousandths of a core of each sidecar, over SECONDS."""
    before, begun = {name: pod.cpu(name) for name in SIDECARS}, time.monotonic()
    time.sleep(SECONDS)
    passed = time.monotonic() - begun
    found = {name: (pod.memory(name), 1000 * (pod.cpu(name) - before[name]) / passed) for name in SIDECARS}
    print(f"{state}: " + ", ".join(f"{name} {memory:.1f} MiB {cpu:.1f}m" for name, (memory, cpu) in found.items()))
    return found


def run(pod: Pod, artifacts: Path) -> tuple[dict[str, float], Measured, Measured]:
    """Start the Pod. Return the seconds of each start, and what was measured idle and under load."""
    started: dict[str, float] = {}
    booted: dict[str, float] = {}
    try:
        pod.start("pod", image("infra"))
        app = ["--entrypoint", "/usr/bin/python3", image("adapter"), "-u", "-c", APP, str(LINES), str(REQUESTS)]
        pod.start("app", "--tmpfs=/tmp", "--volume=/logs", "--user=0", *app)
        volumes = {
            "warcopier": [f"--volume={artifacts}:/artifacts:ro", "--volume=/webapps"],
            "logshipper": [f"--volumes-from={pod.names['app']}", "--volume=/state"],
        }
        for name in SIDECARS:
            begun = time.monotonic()
            options = [f"--env={setting}" for setting in SETTINGS[name]]
            pod.start(name, *options, *volumes.get(name, []), image(name))
            pod.wait_live(name)
            started[name] = time.monotonic() - begun
            booted[name] = pod.cpu(name)
        print("start: " + ", ".join(f"{name} {started[name]:.2f} s, CPU {booted[name]:.2f} s" for name in SIDECARS))
        idle = measure(pod, "idle")
        docker("exec", pod.names["app"], "/usr/bin/python3", "-c", "open('/tmp/load', 'w')")
        time.sleep(5)
        return started, idle, measure(pod, f"{LINES} lines and {REQUESTS} requests a second")
    finally:
        pod.remove()


def main() -> int:
    try:
        for name in (*SIDECARS, "infra"):
            docker("image", "inspect", image(name))
    except (OSError, subprocess.CalledProcessError):
        return refuse("no engine answers, or it lacks the images: docker buildx bake")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with zipfile.ZipFile(Path(folder, "shop.war"), "w") as war:
            war.writestr("WEB-INF/web.xml", "<web-app/>")
        started, idle, loaded = run(Pod(), Path(folder))
    print(json.dumps({"start": started, "idle": idle, "loaded": loaded}))
    figures = [Figure(f"{name}: idle working set", idle[name][0], REQUESTED[name], "MiB") for name in SIDECARS]
    figures += [Figure(f"{name}: idle CPU", idle[name][1], CPU[name], "m") for name in SIDECARS]
    figures += [Figure(f"{name}: working set with load", loaded[name][0], REQUESTED[name], "MiB") for name in SIDECARS]
    return conclude("sizing", figures)


if __name__ == "__main__":
    sys.exit(main())
