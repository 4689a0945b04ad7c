"""Pure decisions: what a request is, who should answer it, whether a draft may be served.

Knows nothing of sockets, files, clocks or MLX.
"""
