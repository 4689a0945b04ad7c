"""What the router learns at night: labels of drafts, gates out of them, and what they are worth."""
