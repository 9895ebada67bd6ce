"""What every process has: its life, signals, logs and limits."""
