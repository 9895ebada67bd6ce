"""The package `warcopier.target`."""
