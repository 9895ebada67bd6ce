"""The package `warcopier.source`."""
