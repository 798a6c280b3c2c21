"""Retrying a run on its page: from a step, past a step, or with other inputs."""
