"""The dashboards, as data, and their JSON.

    panels ──▶ common ──▶ ambassador, logshipper, adapter, warcopier, overview ──▶ catalogue ──▶ the JSON

The first row of each answers "is it well?" with colours. Then come rate, errors and duration, then what runs full, then
the process. A dashboard has at most 20 panels.
"""
