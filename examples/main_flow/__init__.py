"""Workflow to try things with: children that calculate for some seconds and report."""
