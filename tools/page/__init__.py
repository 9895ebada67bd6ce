"""The page of the admin port, from its sources to the file in the chassis.

    page.html ─┐
    style.css ─┼──▶ esbuild ──▶ sidecars/chassis/page/page.html      one file, as it is sent
    script.js ─┘

The file has at most 12 KiB, and 5 KiB with gzip. `python -m tools.page --write` (`make docs`) makes it. Begin with
`script.js`; package `sidecars.chassis.page` has the server's part. The tests in tests/chassis/page and tests/browser
open the page.
"""
