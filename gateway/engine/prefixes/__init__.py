"""What of a prompt need not be computed again, in memory and on disk. `prefix` is the front.

Nothing here knows of requests.
"""
