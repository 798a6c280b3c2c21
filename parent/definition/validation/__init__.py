"""What is wrong with a workflow as its author has declared it: problems, each with a hint."""
