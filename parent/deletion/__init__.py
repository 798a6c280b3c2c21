"""Deleting runs, old runs, and results and files that belong to no run."""
