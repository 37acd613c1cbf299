"""The confinement of child processes that open what strangers made.

`starting` says, in the parent, how such a child is started. In the child, `child` takes on its
`limits` and puts up its `walls` before anything of the program is imported: every parser runs
behind them. That half imports the standard library alone and nothing of the portal, so that a child
starts quickly and has no secret to lose.
"""
