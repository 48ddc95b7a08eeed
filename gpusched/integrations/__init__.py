"""What makes other programs ask gpusched for their devices, one package for each.

They reach the daemon as clients only, and may run in an environment that has nothing of ours: then
they import the standard library, `client.thin` and `launch`.
"""
