"""The program of the child process that draws one document, and knows nothing of the portal.

`child.main` reads the document from its standard input and writes frames to its standard output: a
line of JSON, then as many bytes as the line says. It imports nothing else of the portal, so that it
starts quickly and has no secret to lose; what it opens was made by strangers. What confines it
(`portal.confinement`) comes before it.
"""
