"""The engine's English sentences in the reader's language."""
