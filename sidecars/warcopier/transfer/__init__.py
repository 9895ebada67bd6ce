"""The package `warcopier.transfer`."""
