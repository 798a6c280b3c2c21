"""The error for an unusable file."""

__all__ = ["UnusableFile"]


class UnusableFile(ValueError):
    """The file cannot be profiled. The message names what is wrong, where, and what to do."""
