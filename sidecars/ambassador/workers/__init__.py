"""The package `ambassador.workers`."""
