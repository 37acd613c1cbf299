"""Background work and the clock."""
