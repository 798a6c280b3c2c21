"""Decisions about rows in memory. Nothing here reads or writes the database."""
