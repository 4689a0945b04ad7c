"""Adapters in the forms of others: PEFT's, llama.cpp's, a model of its own. mlx-lm's form is `distill.mlx.lora`'s."""
