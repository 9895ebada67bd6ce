"""The program that the benchmark of sizes runs as the app of its Pod."""

from __future__ import annotations

from benchmarks.sizing import APP


def test_the_app_of_the_benchmark_is_a_program() -> None:
    compile(APP, "app", "exec")
