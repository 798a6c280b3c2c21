"""The list of runs for who is on call: counts by state, and what is done to many at once."""
