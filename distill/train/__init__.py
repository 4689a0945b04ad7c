"""Training: a recipe and a dataset become a run, and a run an adapter. Imports MLX; runs in a process of its own."""
