"""Write metrics pages: `Exposition`s in, the bytes of one page out, in the format that the scraper asks for. No I/O.

    Accept header ----> negotiation     the format: Prometheus text or OpenMetrics, version, escaping scheme
                          |
    Expositions, each     v
    with target labels -> render        one page of all of them
                          | conversion  each family as families of the target format
                          | escaping    UTF-8 names in the letters that the scraper knows
                          v
                        bytes

Read `render` first. It depends on `exposition` alone.
"""
