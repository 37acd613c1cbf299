"""What happens when things break: kill -9, cut connections, stops, dead processes.

`python -m tests.faults --kills 300` runs the long form of the crashes and prints its figures.
"""
