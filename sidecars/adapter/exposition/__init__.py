"""Read an app's metrics page: bytes of Prometheus text or OpenMetrics in, an `Exposition` out. No I/O.

    body, Content-Type
      | parser            decide the format, find the end of the page
      v
    lexer                 lines -> rows, by one regular expression for each format
      | labels            `{a="b"}` -> label sets
      | metadata          HELP, TYPE, UNIT
      v
    family_parser         rows -> metric families, a state machine
      | family_checks     the check that a family's type needs
      | metric_points     the same for OpenMetrics, which orders points in time and exemplars
      | sample_values     numbers, timestamps, bounds and label keys of those checks
      | page_faults       kinds of faults and their effects on the page
      v
    exposition            `Exposition`: the page, its families (`family`), `select` by name and labels
      v
    sample                one series with its value

Read `parser` first, then `family_parser`. Two modules stand beside this way: `unknown_values` has the series without a
usable value, and `cancellation` the check by which long work ends if nobody waits for its result.
"""
