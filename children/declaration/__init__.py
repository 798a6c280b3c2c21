"""What `@child_task` reads of a function: its signature, its retries, whether it is async."""
