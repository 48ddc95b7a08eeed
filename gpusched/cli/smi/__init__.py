"""What `gpusched nvidia-smi` prints, in NVIDIA's layouts: pure text from one survey of the host.

Facts of the layouts are NVIDIA's: measured with its own programs, and read in public captures of
each branch. Where gpusched says more than they do is in docs/nvidia-smi.md.
"""
