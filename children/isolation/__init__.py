"""A body leaves nothing behind: what it changed in its process ends with it."""
