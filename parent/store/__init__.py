"""The database: its statements, clock, locks and outages, and the file storage."""
