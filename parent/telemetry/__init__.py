"""What the engine reports about itself: log lines, traces, metrics, failures."""
