"""The daemon's HTTP face: the services of `rpc` as JSON. No service is written here."""
