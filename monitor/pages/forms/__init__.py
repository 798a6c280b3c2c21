"""HTML forms of a workflow's parameters, and of what a signal takes."""
