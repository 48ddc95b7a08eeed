"""Everything said to systemd: its notify protocol, and its D-Bus interface.

No decision is made here; a host without systemd gets `adapters.null` instead.
"""
