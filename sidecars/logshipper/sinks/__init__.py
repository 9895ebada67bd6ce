"""Where lines go: one module for each sink, named by its row in `registry`."""
