"""A run or child as API and pages show it: read from the rows, its status, its result."""
