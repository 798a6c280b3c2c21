"""Isolation of a body: what it changes in its process is undone when it ends."""
