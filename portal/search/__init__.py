"""Search over names and contents: text is taken out by the worker, indexed, and found."""
