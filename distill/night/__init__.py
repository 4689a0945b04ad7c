"""The night: from the day's traces to an adapter that may serve. Knows MLX through the trainer's process alone.

`course` is a night from beginning to end; `settings` what it is told, `diary` what it did and where it stood, `setting`
what is asked, `gathering` what there is to learn, `candidates` what is trained and how long, `examining` and `judging`
what became of it, `foretelling` what a night would do, and `pausing` whether there are to be any.
"""
