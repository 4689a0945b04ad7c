"""A chat request through the engine, for whoever has the socket: `prepare` it, then `answer` it or stream its `frames`.

Names the way in and the two ways out; what they do is in intake, turn and wire.
"""

from gateway.engine.intake import prepare, prompt_of
from gateway.engine.turn import Turn
from gateway.engine.wire import answer, frames

__all__ = ["Turn", "answer", "frames", "prepare", "prompt_of"]
