"""When a caller asks again, and how it learns that nothing has changed."""
