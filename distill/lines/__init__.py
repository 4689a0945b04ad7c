"""Lines of a shell that only read: which those are, and how far their output hangs on the files alone.

A line that is not understood to the last letter is none. This is no protection (`distill.confinement` is): it says what
is worth running again, and what a difference would prove. Knows nothing of processes or traces.
"""

from distill.lines.reading import Line, reading_line
from distill.lines.settings import plain_settings

__all__ = ["Line", "plain_settings", "reading_line"]
