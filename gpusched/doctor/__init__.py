"""`gpusched doctor`: looks at a host, from the kernel to the container engines, and judges.

It changes nothing that outlives it, needs no daemon, no device and no root, and says of what it
may not see that it may not see it. What only adapters can find out comes in as `Probes`.
"""
