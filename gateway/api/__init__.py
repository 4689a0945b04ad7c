"""The gateway's HTTP: a file per resource."""
