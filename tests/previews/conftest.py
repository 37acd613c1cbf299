"""A real scanner for these tests."""

from live.clamd import clamd

__all__ = ["clamd"]
