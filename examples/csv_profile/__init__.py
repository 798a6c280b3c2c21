"""An example of a workflow of one's own: upload a CSV file, get a profile of its columns."""
