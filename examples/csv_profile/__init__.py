"""An example of your own workflow: upload a CSV file, get a profile of its columns."""
