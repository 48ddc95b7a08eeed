"""Documents of the Container Device Interface on disk: those of leases, and NVIDIA's own.

What stands in them is decided in `core/cdi`; nothing here knows a device.
"""
