"""The items of mapped steps: from `over` to the end of the step."""
