"""`gpusched setup`: makes gpusched a service of this host's systemd, and takes it away again.

What is to be done is a value (`installing`, `removing`: lists of `steps`), made from what was
found (`host`, `source`) by pure functions; `doing` does it. Knows the daemon as a client only.
"""
