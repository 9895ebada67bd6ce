"""The screenshots: pages that stay open for a minute beside a Pod with traffic, and the demo at its best moment."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page

from tools.screens.chromium import chromium
from tools.screens.lively_pod import MINUTE, pod
from tools.screens.record import LIMIT, ROOT, SCHEMES, path

WIDTH = 1280  # CSS pixels
MOST_HEIGHT = 1100  # CSS pixels: what is further down does not help a reader
_COLOURS = 64
_BOTTOM = """most => {
    const parts = [...document.querySelectorAll("main > *")].map(part => part.getBoundingClientRect());
    return Math.ceil(Math.max(...parts.map(part => part.bottom + 16).filter(bottom => bottom <= most), most - 200));
}"""
_PATIENCE = 120.0  # seconds
_DEMO_MOMENT = "replica-2:killed"  # a part and its state: the page stops there, however long that took


def take_all() -> None:
    """Make all pictures. Raises RuntimeError if there is no Chromium, or if a picture cannot be made small enough."""
    executable = shutil.which("chromium")
    if executable is None:
        raise RuntimeError("the screenshots need Debian's Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="pod-") as folder, chromium(executable) as browser:
        with pod(Path(folder)) as urls:
            pages = {
                (f"page-{name}", scheme): _open(browser, url, scheme)
                for name, url in urls.items()
                for scheme in SCHEMES
            }
            time.sleep(MINUTE)
            for (picture, scheme), page in pages.items():
                _shoot(page, path(picture, scheme))
                page.context.close()
        with _demo(Path(folder)) as url:
            for scheme in SCHEMES:
                page = _open(browser, f"{url}#freeze={_DEMO_MOMENT}", scheme)
                page.locator("html[data-frozen]").wait_for(timeout=_PATIENCE * 1000)
                _shoot(page, path("demo", scheme))
                page.context.close()


def _open(browser: Browser, url: str, scheme: str) -> Page:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": WIDTH, "height": MOST_HEIGHT},
        device_scale_factor=2,
    )
    page = context.new_page()
    page.goto(url)
    return page


def _shoot(page: Page, file: Path) -> None:
    """Write the picture of a page: of its two pixels for each one of CSS if that is small enough, else of one.

    It ends behind a whole part of the page, if there is one that ends in its height.
    """
    bottom: int = page.evaluate(_BOTTOM, MOST_HEIGHT)
    clip: FloatRect = {"x": 0, "y": 0, "width": WIDTH, "height": bottom}
    for scale in ("device", "css"):
        shot = page.screenshot(clip=clip, scale="device" if scale == "device" else "css", animations="allow")
        compressed = _compressed(Image.open(io.BytesIO(shot)).convert("RGB"))
        if len(compressed) <= LIMIT:
            file.write_bytes(compressed)
            return
    raise RuntimeError(f"{file.name} would have {len(compressed)} bytes; {LIMIT} is the most")


def _compressed(picture: Image.Image) -> bytes:
    """Return the picture as a PNG of few colours. They cover the rare ones, too: a warning has its own colour."""
    few = picture.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    written = io.BytesIO()
    few.save(written, "PNG", optimize=True)
    return written.getvalue()


@contextmanager
def _demo(folder: Path) -> Iterator[str]:
    """Run the demo to its end, and keep its page while the context is open. Yield the URL of the page."""
    said = folder / "demo"
    with said.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--plain", "--stay"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
        )
    try:
        deadline = time.monotonic() + _PATIENCE
        while (found := re.search(r"stays at (http://127\.0\.0\.1:\d+/)", said.read_text())) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the demo did not come to its end")
            time.sleep(0.1)
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)  # it ends its processes then
        process.wait()
