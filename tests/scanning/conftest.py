"""A real scanner for these tests."""

from live.clamd import clamd, own_clamd
from live.fixtures import own_database

__all__ = ["clamd", "own_clamd", "own_database"]
