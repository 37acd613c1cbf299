"""Documents: uploads, names, types, lists, what happens to them, housekeeping."""
