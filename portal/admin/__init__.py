"""Administration: figures, checks, people, uploads for others, the audit log."""
