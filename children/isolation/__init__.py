"""Isolation of a body: changes to its process are undone when it ends."""
