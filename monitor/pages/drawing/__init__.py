"""The graph of a workflow: its layout, which is pure, and what stands in its boxes."""
