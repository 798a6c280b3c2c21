"""The list of runs: what it shows, counts by state, and what is done to many at once."""
