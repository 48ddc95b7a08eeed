"""The daemon's gRPC face: who calls, what they said, and how the answer reads on the wire.

No decision is made here and no device is touched: services turn messages into the core's events
and replies back into messages.
"""
