"""The first minute: the Pod of `examples/tomcat` in containers. `make up` starts it and `make down` removes it.

It needs a container engine and Python without packages. Images that the engine has are not built again; `make images`
does that. APP_PORT and HEALTH_PORT choose other ports; with 0 the engine chooses free ones.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request

from tools.names import ROOT, SIDECARS, image

FILE = ROOT / "examples/tomcat/compose.yaml"
PATIENCE = 180.0  # seconds for Tomcat to answer, on a busy machine
IMAGES = (*SIDECARS, "infra")

OPEN = """
The Pod runs. Open

    {app}/shop/         the app: a WAR that Tomcat serves, unchanged
    {health}/health       its health, by rules on Tomcat's metrics

What to try next: examples/tomcat/README.md
Your own WAR:     put it into examples/tomcat/artifacts, and run `make up` again: mine.war is {app}/mine/
Log lines:        docker compose -f examples/tomcat/compose.yaml logs -f logreceiver
The end:          make down
"""


def compose(*arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    command = ["docker", "compose", "--file", str(FILE), *arguments]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE if capture else None, text=True, check=True)  # noqa: S603 - its own words


def missing() -> list[str]:
    """Return the images that the engine does not have."""
    inspect = ["docker", "image", "inspect"]
    return [name for name in IMAGES if subprocess.run([*inspect, image(name)], capture_output=True).returncode]  # noqa: S603, PLW1510 - its own words; the code is the answer


def address(port: int) -> str:
    """Return the URL at which the engine publishes a port of the Pod."""
    return f"http://localhost:{compose('port', 'pod', str(port), capture=True).stdout.strip().rpartition(':')[2]}"


def wait_for(url: str) -> bool:
    """Return True when the URL has answered with 200, and False after PATIENCE."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with direct.open(url, timeout=10):
                return True
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.5)
    return False


def up() -> int:
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:  # noqa: S607 - the user's engine
        print(
            "make up needs a container engine with compose and buildx; none answers. make demo needs none.",
            file=sys.stderr,
        )
        return 69
    if absent := missing():
        print(f"building {', '.join(absent)}: a few minutes, once", flush=True)
        subprocess.run(["docker", "buildx", "bake", *absent], cwd=ROOT, check=True)  # noqa: S603, S607 - its own words
    compose("up", "--detach", "--build")
    app = address(8080)
    print("waiting for Tomcat", flush=True)
    if not wait_for(f"{app}/shop/"):
        print("Tomcat does not answer. docker compose -f examples/tomcat/compose.yaml logs says why.", file=sys.stderr)
        return 1
    print(OPEN.format(app=app, health=address(8081)))
    return 0


def main(argv: list[str]) -> int:
    try:
        if argv == ["up"]:
            return up()
        if argv == ["down"]:
            compose("down", "--volumes")
            return 0
    except FileNotFoundError:
        print("make up needs docker with compose and buildx; make demo needs neither", file=sys.stderr)
        return 69
    except subprocess.CalledProcessError as error:
        return error.returncode  # the command has said why
    print("usage: python -m tools.up up | down", file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
