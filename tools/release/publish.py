"""Push the images to a registry, and sign them: what the release workflow calls.

    python -m tools.release publish --registry registry.example/sidecars [--attest] [NAME…]
    python -m tools.release sign --registry registry.example/sidecars
    python -m tools.release charts --registry registry.example/sidecars

`publish` builds and pushes an image for each platform, and makes one list of both under the version. It writes the
digest of each list to build/release/digests.json. With `--attest` BuildKit adds the provenance to each, which needs a
builder of the driver docker-container; without it any engine does.

`sign` signs each of these digests with cosign, without a key: the identity is that of the workflow that runs it. It
attests the bill of materials of each platform, which it takes out of the image.

`charts` packs the Helm charts and pushes them below charts/.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import kube
from tools.names import ROOT, SIDECARS, VERSION, official

PLATFORMS = ("linux/amd64", "linux/arm64")
BASE = official("debian")
CHARTS = ("sidecars", "sidecars-platform")
DIGESTS = ROOT / "build/release/digests.json"


def run(*command: str | Path, environ: Mapping[str, str] | None = None) -> str:
    """Return what the command prints. Its messages go to this process's stderr."""
    done = subprocess.run(  # noqa: S603 - docker, git and cosign
        command, cwd=ROOT, env={**os.environ, **(environ or {})}, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def publish(registry: str, names: list[str], *, attest: bool) -> dict[str, str]:
    """Push the images of all platforms. Return the digest of each name's list."""
    revision, seconds, created = run("git", "log", "-1", "--format=%H %ct %cI").split()
    environ = {
        "BASE": pinned(BASE) if attest else BASE,
        "REGISTRY": registry,
        "REVISION": revision,
        "CREATED": created,
        "SOURCE_DATE_EPOCH": seconds,
        "RELEASE": "true" if attest else "false",
    }
    for platform in PLATFORMS:
        tags = [f"--set={name}.tags={one(registry, name, platform)}" for name in names]
        command = ["docker", "buildx", "bake", "--progress", "plain", "--push", *tags, *names]
        run(*command, environ={**environ, "PLATFORMS": platform})
    digests = {}
    for name in names:
        listed = f"{registry}/{name}:{VERSION}"
        parts = [one(registry, name, platform) for platform in PLATFORMS]
        options = [f"--annotation={one}" for one in list_annotations(name, environ)]
        run("docker", "buildx", "imagetools", "create", "--tag", listed, *options, *parts)
        shown = run("docker", "buildx", "imagetools", "inspect", listed, "--format", "{{json .Manifest}}")
        digests[name] = str(json.loads(shown)["digest"])
    return digests


def list_annotations(name: str, environ: Mapping[str, str]) -> list[str]:
    """Return the annotations of the list, as its parts have them. Lists of Docker's own type ignore them."""
    printed = json.loads(run("docker", "buildx", "bake", "--print", name, environ=environ))
    found: list[str] = printed["target"][name].get("annotations", [])
    return [one.replace("manifest,index:", "index:") for one in found]


def pinned(image: str) -> str:
    """Return the image by digest: of the reference, or the one that its registry names now. Provenance records it."""
    if "@" in image:
        return image
    shown = run("docker", "buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}")
    return f"{image}@{json.loads(shown)['digest']}"


def one(registry: str, name: str, platform: str) -> str:
    """Return the reference of the image of one platform."""
    return f"{registry}/{name}:{VERSION}-{platform.rpartition('/')[2]}"


def sign(registry: str, digests: Mapping[str, str], folder: Path) -> None:
    """Sign each list, and attest the bills of materials of its platforms."""
    for name, digest in digests.items():
        reference = f"{registry}/{name}@{digest}"
        run("cosign", "sign", "--yes", reference)
        for platform in PLATFORMS:
            bill = folder / f"{name}-{platform.rpartition('/')[2]}.spdx.json"
            bill.write_text(bill_of_materials(one(registry, name, platform), name, platform))
            run("cosign", "attest", "--yes", "--type", "spdxjson", "--predicate", bill, reference)


def bill_of_materials(reference: str, name: str, platform: str) -> str:
    """Return the file that the image has, without running the image."""
    container = run("docker", "create", "--platform", platform, reference, "-").strip()
    try:
        path = f"{container}:/var/lib/db/sbom/{name}.spdx.json"
        return run("bash", "-o", "pipefail", "-c", 'docker cp "$1" - | tar --extract --to-stdout', "bash", path)
    finally:
        run("docker", "rm", container)


def charts(registry: str, folder: Path) -> None:
    """Pack and push the charts. A registry on loopback is spoken to without TLS, as docker does."""
    helm = kube.programs() / "helm"
    plain = ["--plain-http"] if registry.startswith(("127.", "localhost")) else []
    for chart in CHARTS:
        run(helm, "package", ROOT / "deploy/helm" / chart, "--destination", folder)
        run(helm, "push", folder / f"{chart}-{VERSION}.tgz", f"oci://{registry}/charts", *plain)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["publish", "sign", "charts"])
    parser.add_argument("--registry", required=True)
    parser.add_argument("--attest", action="store_true", help="let BuildKit attest the provenance")
    parser.add_argument("names", nargs="*", help="the images; all five if none is named")
    arguments = parser.parse_args(argv)
    if arguments.what == "sign":
        sign(arguments.registry, json.loads(DIGESTS.read_text()), DIGESTS.parent)
        return 0
    if arguments.what == "charts":
        DIGESTS.parent.mkdir(parents=True, exist_ok=True)
        charts(arguments.registry, DIGESTS.parent)
        return 0
    names = arguments.names or [*SIDECARS, "infra"]
    digests = publish(arguments.registry, names, attest=arguments.attest)
    DIGESTS.parent.mkdir(parents=True, exist_ok=True)
    DIGESTS.write_text(json.dumps(digests))
    print(json.dumps(digests))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
