"""What operators and machines ask the service: health, readiness, metrics."""
