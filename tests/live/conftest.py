from live.fixtures import module_database, own_database, portal

__all__ = ["module_database", "own_database", "portal"]
