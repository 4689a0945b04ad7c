"""What runs by day: the wires, the cascade, the recorder, the engine and the command line."""
