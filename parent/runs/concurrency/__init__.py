"""Limits on how much goes on at the same time: of runs, and of steps; and who stands in line."""
