"""Schedules: when workflows start by themselves, and what becomes of each time."""
