"""What concerns HTTP and no workflow: bodies, answers, errors, middleware, throttles."""
