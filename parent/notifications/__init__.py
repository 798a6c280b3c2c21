"""Telling others that a run has started or ended: signals, e-mails, webhooks, and their outbox."""
