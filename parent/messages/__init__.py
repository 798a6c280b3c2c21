"""The broker: sending messages, counting them, and noticing that it lost some."""
