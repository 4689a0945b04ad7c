"""What the generation thread does: jobs in, tokens out.

`generator` is the front, `coordinator` the thread, `scheduler` the order of things, `runner` the model at work, and
`hostbatch` and `devicebatch` the two ways to compute a step. Nothing here knows of text, JSON or sockets.
"""
