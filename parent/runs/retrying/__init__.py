"""What a retry does to the steps of a run: which run again, and how they wait again."""
