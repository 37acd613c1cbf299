"""The same capabilities for programs."""
