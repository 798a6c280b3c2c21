"""Retrying a run, on a user's request: which of its steps run again, and how they wait again."""
