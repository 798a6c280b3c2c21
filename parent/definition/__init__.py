"""What a workflow's author declares, and the checks of it before anything runs."""
