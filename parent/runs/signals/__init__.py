"""Signals and approvals: opening a step that waits for one, giving one, and its timeout."""
