"""The running daemon: one loop that decides, commits, acts and confirms, in this order.

It knows the world only through `ports`, and clients not at all.
"""
