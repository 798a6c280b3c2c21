"""A run or a child as the API and the pages show it: the read, the status, the result."""
