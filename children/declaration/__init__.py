"""What `@child_task` reads from a function: its signature, its retries, whether it is async."""
