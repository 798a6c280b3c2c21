"""What the engine reports of itself: log lines, traces, metrics, failures."""
