"""Processes: local models, the memory they share with the night, the gateway itself and its server."""
