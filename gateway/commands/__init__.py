"""Commands that have modules of their own: arguments alone. What they do is imported when they run."""
