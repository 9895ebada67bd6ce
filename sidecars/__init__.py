"""Exactly one folder per image. The same file names recur in each: `settings.py`, `__main__.py`, `app.py`."""
