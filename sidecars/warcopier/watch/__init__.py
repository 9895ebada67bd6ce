"""The package `warcopier.watch`."""
