"""The broker: send messages, count them, and detect that some were lost."""
