"""Who may come in, how often, what it may cost, and who is inside."""
