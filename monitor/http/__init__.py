"""What concerns HTTP and no workflow: bodies, uploads, errors, middleware, throttles."""
