"""For operators and machines: health, readiness, metrics, and the page of workers."""
