"""The student's own server: one process, one model, its adapters, OpenAI's wire. Here alone the gateway meets MLX."""
