"""Pictures of documents: made by the worker, shown instead of the bytes themselves.

`kinds` says of what there can be pictures, `waiting` is the queue, `making` has them drawn and
keeps them, `child` runs whoever draws under limits, `drawing` is that child's own program, and
`showing` is what the pages ask. A picture leaves only with a grant to the version it shows.
"""
