"""What runs inside a Celery worker: heartbeat, watch thread, and a child's attempt."""
