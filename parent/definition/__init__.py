"""Workflows as their authors declare them, and their validation before anything runs."""
