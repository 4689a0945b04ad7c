"""How a model is reached: one client for all, its manners, and the stream of an answer."""
