"""The package `adapter.health`."""
