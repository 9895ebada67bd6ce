"""Users' regular expressions, in linear time for any text.

    pattern ─► linear_regex ─► RE2, or Python's `re` if ll1 proves that it never goes back

- `linear_regex`: compiles a pattern, searches many texts for it, and finds all its matches in a text.
- `ll1`: the proof. Pure.
"""
