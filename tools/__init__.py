"""Programs that write or check files of this repository."""
