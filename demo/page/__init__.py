"""The Pod in a browser: a page on loopback that draws the Pod while the demo runs.

    story ──▶ demo.events.Journal ──▶ history: the whole story so far, one list for all clients
                                        │
    browser ──GET /───────▶ server ──▶ page.html: the Pod as SVG, by DOM calls; no request but to itself
    browser ──GET /events─▶ server ──▶ server-sent events: each client has a place in the list
                                        │
                            page.html folds the events up to a moment into a picture of that moment

A client that does not read delays nobody: the story appends to the list and goes on. A client that comes late, or
comes back with `Last-Event-ID`, reads the list from its place. Begin with `history`.

For a picture of one moment, open the page with `#freeze=PART:STATE`, such as `#freeze=storage:down` or
`#freeze=replica-2:killed`: the page stops at the last event of that state, at whatever time it was opened, and sets
`data-frozen` at its root element.
"""
