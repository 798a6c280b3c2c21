"""For operators and machines: health, readiness, metrics."""
