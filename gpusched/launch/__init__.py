"""What `gpusched run` does in the caller's own process: ask, set the environment, become CMD."""
