"""The package `adapter.verdict`."""
