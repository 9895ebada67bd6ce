"""The package `warcopier.archive`."""
