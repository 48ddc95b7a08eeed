"""gpusched as a service: setup, its life under systemd, what outlives it, and its removal."""
