"""HTTP without workflows: bodies, ETags, errors, middleware, throttles."""
