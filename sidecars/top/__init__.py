"""`sidecars-top`: what the page of each sidecar shows, live in a terminal. A program for people, never in an image.

    admin port ──GET /──────────────▶ page_data ──▶ Picture, first status ──┐
               ──GET /status?compact──▶ watched ──▶ status, every 2 s ──────┼──▶ measures ──▶ drawing ──▶ screen
               ──GET /siblings────────▶         ──▶ siblings, every 10 s ───┘    (rates)      (rich)     (keys, resize)

The picture of a sidecar, which describes its tables, comes from the data block of its page. So this program knows no
sidecar, and shows those of another version, too. It believes nothing that it gets: answers have a limit of bytes, and
every text is shown as printable characters.

Begin with `command`.

command     arguments, exit codes, and the plain text for a pipe
watched     one sidecar: its address, its last answers, and since when it does not answer
page_data   the data block of a page, checked
measures    the last minute of each cell: rates and quantiles. Pure
drawing     a sidecar as lines of a terminal
screen      the whole terminal: keys, scrolling, resize
"""
