"""Tool calls out of what a model wrote, one module for each form of writing them.

`families` chooses the form by a model's chat template. Pure: nothing here knows of tokens, requests or sockets.
"""
