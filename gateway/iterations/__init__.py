"""The plan's iterations: examples, a night, an examination, and what follows from it, in one command each."""
