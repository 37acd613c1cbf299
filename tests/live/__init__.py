"""The portal as people run it: its one command, real sockets, real programs."""
