"""The engine's English words and sentences in the reader's language."""
