"""`nightschool init`: a settings file for this machine, with every setting named and explained."""

from __future__ import annotations

import platform
from pathlib import Path

from distill.machine import machine_memory
from gateway.errors import SettingsError, StartError
from gateway.sections import PROFILES

_TEMPLATE = """\
# Nightschool's settings. Every value can also come from the environment: NIGHTSCHOOL_GATEWAY_PORT=9000.
profile = "{profile}"  # {about}

[gateway]
host = "127.0.0.1"       # this machine only; any other address needs keys: nightschool keys add NAME
port = 8787
# hold_headers = 5.0     # seconds before a streamed request's headers go out as "pending"
# heartbeat = 10.0       # seconds of silence before a comment line on a stream
# memory_bytes = 0       # what local models and the night may take together; 0: no limit is kept
# origins = []           # web origins that may call the gateway
# max_at_once = 0        # requests under way; further ones are told to come back; 0: no limit
# max_seconds = 0.0      # for a whole request; 0: no limit
# log = "auto"           # a line for each request: "text", "json", "off"; auto: text on a terminal, else JSON

[student]                # either of the two; a profile sets it too
# model = "qwen2.5-coder-7b"            # a name of the catalogue, or a model folder
# url = "http://127.0.0.1:8901/v1"      # any OpenAI-compatible endpoint

[teacher]                # likewise
{teacher}
# name = ""              # the model's name there; empty: the first it lists
# api_key_env = ""       # the environment variable that holds its key
# price_input = 0.0      # per million prompt tokens, in any currency
# price_output = 0.0     # per million tokens of its answers
# daily_limit = 0.0      # what it may cost in a day, in that currency; 0: no limit

[router]
policy = "cascade"       # or "student", "teacher"
uncertified = "shadow"   # "serve" lets a student answer that has not earned its certificate yet
confidence = 0.6         # the least token probability its answers must show
holdout = 0.05           # share of conversations that always go to the teacher

# [canary]               # how an adapter that is proposed comes to serve all
# on = true              # a growing share of the conversations first; false: all at once
# conversations = 30     # of both adapters at each step: 1, 5, 10, 25, 50 %
# seconds = 3600.0       # that a step lasts at least
# worse = 0.05           # share of its answers that may be worse than the teacher's

# [telemetry]
# otlp_endpoint = ""     # a collector of OpenTelemetry, as http://127.0.0.1:4318; empty: nothing is sent anywhere
"""

_ABOUT = {
    "embedded": "a tiny student and a stand-in teacher, to try everything out",
    "mac32": "7B student, 30B teacher, one of them in memory at a time",
    "mac32-pair": "3B student beside the 30B teacher",
    "remote": "a local student; the teacher is an endpoint",
}


def propose_settings(path: Path, profile: str, *, force: bool) -> str:
    """Write the file and say what was chosen. Raises StartError where a file would be lost or cannot be written."""
    if profile and profile not in PROFILES:
        raise SettingsError(f"there is no profile '{profile}'; there are {', '.join(PROFILES)}")
    if path.exists() and not force:
        raise StartError(f"{path} exists: add --force to replace it")
    chosen = profile or _for_this_machine()
    remote = chosen == "remote"
    teacher = 'url = "http://127.0.0.1:9000/v1"' if remote else '# url = "http://127.0.0.1:9000/v1"'
    try:
        path.write_text(_TEMPLATE.format(profile=chosen, about=_ABOUT[chosen], teacher=teacher), encoding="utf-8")
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror}") from error
    return f"Wrote {path} with the profile '{chosen}' ({_ABOUT[chosen]}). Start with: nightschool serve --config {path}"


def fitting(memory: int, *, metal: bool) -> str:
    """The largest profile that a machine with so many bytes of memory can run."""
    return "mac32" if metal and memory >= 30 << 30 else "embedded"


def _for_this_machine() -> str:
    memory = machine_memory()
    return fitting(memory, metal=platform.system() == "Darwin" and platform.machine() == "arm64")
