"""How long the runs of a workflow took of late, and how many of them failed."""
