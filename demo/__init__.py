"""What `make demo` runs: the main job with real processes over simulated GPUs."""
