"""Looking for malware: what clamd says of the bytes of every version.

`clamd` speaks with the scanner, `waiting` is the queue, `scanner` takes from it and writes down
what was found. Who may have bytes of which nothing good is known is decided at the door.
"""
