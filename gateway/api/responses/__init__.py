"""OpenAI's Responses wire, translated to and from chat completions.

routes → request (items, tools) → [chat completion] → reply (output, answer) → stored.
"""
