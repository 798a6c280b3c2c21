"""The HTTP API: views, the run's status, polling, OpenAPI."""
