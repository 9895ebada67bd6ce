"""logshipper: tails the log files that the app writes on a shared volume, and ships them."""
