"""INSERT and UPDATE of many rows, each with its own values, in one statement."""
