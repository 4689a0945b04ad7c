"""This machine, the models it can run, and how fast."""
