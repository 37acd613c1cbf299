"""Mail to people: what is said, and how it gets there."""
