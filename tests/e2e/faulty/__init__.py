"""The real daemon that ends itself by SIGKILL before or after a chosen step of its work."""
