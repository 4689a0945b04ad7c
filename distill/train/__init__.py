"""Training: a recipe and a dataset become a run, and a run an adapter. Imports MLX and runs in a process of its own,
but for `order`, `recipe`, `record` and `room`, which say what is to be trained and what was.
"""
