"""The agents that can be started on the gateway."""
