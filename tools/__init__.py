"""What a contributor runs on the sources; nothing here is shipped or imported by the daemon."""
