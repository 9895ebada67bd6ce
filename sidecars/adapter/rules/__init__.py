"""The package `adapter.rules`."""
