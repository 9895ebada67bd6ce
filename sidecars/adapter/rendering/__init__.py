"""The package `adapter.rendering`."""
