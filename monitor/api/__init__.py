"""The HTTP API: views, reading requests, and the OpenAPI document."""
