"""An example of mapped steps: validate a table of samples in batches, and submit them."""
