"""Sharing: links that hand a document to somebody without an account."""
