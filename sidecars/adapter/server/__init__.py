"""The package `adapter.server`."""
