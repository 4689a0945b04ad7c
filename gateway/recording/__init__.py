"""Traces on their way from the gateway to the disk, through a process that redacts them."""
