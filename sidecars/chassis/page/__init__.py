"""The page of the admin port: what `/status` says, for people. No start loads this package, only the first look does.

    sidecars/<name>/picture.py ──▶ Picture (picture) ─┐
                                                      ├──▶ document ──▶ one HTML file ──▶ script ──▶ tables, every 2 s
    /status as JSON, scrubbed ────────────────────────┤                     └─ <noscript> ◀── outline
    page.html: HTML, CSS and script, with their hashes ┘

One description, two interpreters: the script of `page.html` in a browser, and `outline` for those without a script.
Begin with `picture`, which has the kinds of values.

picture      the description: Picture, Table, Column, Words
document     the HTML file, and its data block
policy       its header fields (Content-Security-Policy by hashes)
outline      the same tables as plain HTML, once
values       paths, and values as text. The script has the same rules
page.html    the browser's part
"""
