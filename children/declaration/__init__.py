"""What `@child_task` makes of a function: its signature, retries, coroutines, checks."""
