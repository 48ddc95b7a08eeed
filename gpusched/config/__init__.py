"""The operator's settings: which there are (`options`), reading them (`read`), default `paths`."""
