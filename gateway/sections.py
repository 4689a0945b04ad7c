"""What may be set: every section with its fields and defaults, and the profiles that fill some in.

Owns the names and the defaults. Knows nothing of where settings are read from or what they do.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "embedded": {  # the expert is a program, and faster than any draft
        "student": {"model": "embedded"},
        "teacher": {"model": "expert"},
        "router": {"drafts": "always"},
        "canary": {"on": False},  # its day of trials has a few minutes
        "night": {"examination": "demo"},  # a student so small learns about two dozen kinds of questions
    },
    # What models take is what `doctor` tells. macOS lets them have 22.9 of 32 GB: of the first pair one at a time; for
    # the second the limit has to be raised a little, as `doctor` says.
    "mac32": {
        "gateway": {"memory_bytes": 22_500_000_000},
        "student": {"model": "qwen2.5-coder-7b", "memory_bytes": 6_300_000_000},
        "teacher": {"model": "qwen3-30b-a3b", "memory_bytes": 19_900_000_000, "idle_stop": 600},
    },
    "mac32-pair": {
        "gateway": {"memory_bytes": 23_500_000_000},
        "student": {"model": "qwen2.5-coder-3b", "memory_bytes": 3_450_000_000},
        "teacher": {"model": "qwen3-30b-a3b", "memory_bytes": 19_900_000_000},
    },
    "remote": {"student": {"model": "qwen2.5-coder-7b"}},
}
EMBEDDED = "smollm2-135m"  # the catalogue's name of the student that "embedded" stands for
EXPERT = "expert"  # as a teacher's model: the deterministic stand-in, run as a child process
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


Amount = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 8787
    server: Literal["uvicorn", "granian"] = "uvicorn"
    max_body_bytes: int = 32 * 1024 * 1024
    max_at_once: Count = 0  # requests under way, of all clients; 0: no limit
    max_seconds: Amount = 0.0  # for a whole request; 0: no limit
    hold_headers: float = 5.0  # seconds a streamed request may wait before its headers go out as "pending"
    heartbeat: float = 10.0  # seconds of silence on a stream before a comment line
    drain_seconds: Amount = 10.0  # what open requests get to end when the gateway is told to
    cache_bytes: Count = 64 * 1024 * 1024  # of answers kept for requests that are repeated; 0: none are
    cache_seconds: Amount = 86_400.0  # for which such an answer is given again
    origins: list[str] = []  # web origins whose pages may call the gateway
    memory_bytes: int = 0  # what all local engines and the night may take together; 0: no limit is kept
    log: Literal["auto", "text", "json", "off"] = "auto"  # auto: text on a terminal; off: no line for a request
    log_content: bool = False  # whether requests and answers go into the log, and to a collector
    home: str = ""


class BackendSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model behind either arm: `model` (a supervised local engine) or `url` (any OpenAI-compatible endpoint)."""

    model: str = ""
    url: str = ""
    name: str = ""  # the model's name at a `url`; empty: the first it lists
    embeddings: str = ""  # the name of its model for embeddings there; empty: the same model
    api_key_env: str = ""
    prompt: str = ""  # what a teacher is told besides: the name of a prompt that ships, or a .toml file; empty: nothing
    context: int = 0  # tokens; 0: not known
    connect: float = 5.0  # seconds
    first_byte: float = 120.0
    silence: float = 60.0
    attempts: int = 3  # in all, of a teacher; a failed student is not waited for: the teacher answers
    retry_seconds: float = 30.0  # for all attempts together
    at_once: int = 0  # requests at the same time; 0: any number
    queue: int = 64  # how many more may wait for their turn
    failures: int = 5  # in a row, after which it is left alone for a while; 0: never
    start: float = 120.0  # seconds a local engine may take to load
    idle_stop: float = 0.0  # seconds without a request before a local engine is stopped; 0: never
    memory_bytes: int = 0  # what a local engine takes, where gateway.memory_bytes is set
    threads: int = 0  # of a local engine's BLAS, on a CPU; 0: one for each core
    max_kv_size: int = 0  # tokens of context that a local engine keeps for each request; 0: all
    price_input: Amount = 0.0  # of the teacher, per million tokens, in any currency
    price_output: Amount = 0.0
    daily_limit: Amount = 0.0  # of the teacher, in that currency, for a day in UTC; 0: none


class RouterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    policy: Literal["cascade", "student", "teacher"] = "cascade"
    uncertified: Literal["shadow", "serve"] = "shadow"
    hold: Literal["certified", "fast"] = "certified"  # fast: streamed text of the student goes out after 32 tokens
    teacher_down: Literal["student", "error"] = "student"  # who answers when no teacher can
    drafts: Literal["faster", "always"] = "faster"  # whether learnt gates leave out drafts that save no time
    teachers: Literal["ordered", "balanced"] = "ordered"  # how several teachers share the work
    confidence: float = 0.6  # the least token probability a draft must show, 0..1
    holdout: float = 0.05  # share of conversations that always go to the teacher


Share = Annotated[float, msgspec.Meta(gt=0, lt=0.5)]


class CanarySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    on: bool = True  # whether a proposed adapter serves a growing share of the conversations before it serves all
    conversations: Count = 30  # at each step, of both adapters, before the next one
    seconds: Amount = 3600.0  # that each step lasts at least
    enough: Count = 200  # conversations of its own before it is promoted
    worse: Share = 0.05  # of its answers may be worse than the teacher's; beyond, it is rolled back
    days: Amount = 14.0  # after which it is given up
    quiet: Amount = 2.0  # seconds without a request before the teacher is asked about one of its answers


class NightSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    examination: str = "night"  # the name of one that ships with Nightschool, or a .toml file or a folder
    memory_bytes: int = 20_000_000_000  # what training borrows from the gateway while it runs
    gives_way: Amount = 0.0  # seconds of quiet that training waits for, where a request wants its memory; 0: it goes on
    minimum: int = 50  # conversations; with fewer that pass the filters there is no night
    confirm: bool = True  # whether conversations of agents with tools of their own need praise, or samples that agree
    samples: Count = 3  # for that, how often the teacher is asked again for each of their answers; 0: never
    asks: Count = 2000  # how often altogether in a night
    teacher_tokens: Count = 0  # of the teacher, or a judge, that asking them again may take in a night; 0: no limit
    replays: Count = 1000  # requests that a student is asked again, for its certificate; 0: none
    prompt: str = "plan-then-act"  # with which the base is examined besides; empty: it is not
    from_base: Annotated[int, msgspec.Meta(ge=1)] = 7  # nights, one of which trains from the base though another serves
    margin: Share = 0.05  # of exact calls, that an adapter may make fewer than the one it replaces, as far as is known
    at_once: Annotated[int, msgspec.Meta(ge=1)] = 8  # questions of the examination
    timed: Count = 60  # questions of the examination that are asked alone, for their seconds
    keep_days: Amount = 30.0  # for which runs, refused adapters and answers are kept; 0: for good
    judge: str = ""  # the model that is asked at night whether what passed the filters is good; empty: none is
    mixture: dict[str, Any] = {}  # fields of the dataset's mixture that differ from its defaults
    roots: list[str] = msgspec.field(default_factory=lambda: ["~"])  # where agents' repositories may be looked into
    recipe: dict[str, Any] = {}  # fields of the training recipe that differ from its defaults
    at: str = "01:00"  # when a night that is on a schedule may begin, and by when it ends: local time
    until: str = "07:00"
    idle: Amount = 900.0  # seconds without a request before it begins
    mains: bool = True  # whether it waits while the machine runs on its battery
    disk_bytes: Count = 10_000_000_000  # that are free when it begins
    new: Count = 50  # traces since the last night; with fewer it does not begin
    catch_up: bool = True  # whether it begins outside of its hours after it missed them


class TracesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    flush_seconds: Amount = 0.02  # how long a trace may wait for others before it is sent to be written
    waiting_bytes: Count = 64 * 1024 * 1024  # of traces that wait in memory; what comes on top is lost, and counted
    keep_days: Amount = 0.0  # after which traces are forgotten; 0: never
    keep_bytes: Count = 0  # of the store; when it is larger, the oldest traces are forgotten; 0: any size


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    otlp_endpoint: str = ""  # a collector of OpenTelemetry that takes OTLP over HTTP; empty: nothing is sent


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    gateway: GatewaySettings = GatewaySettings()
    student: BackendSettings = BackendSettings()
    teacher: BackendSettings = BackendSettings()
    teachers: dict[str, BackendSettings] = {}  # more of them, by name
    router: RouterSettings = RouterSettings()
    canary: CanarySettings = CanarySettings()
    night: NightSettings = NightSettings()
    traces: TracesSettings = TracesSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    aliases: dict[str, str] = msgspec.field(default_factory=lambda: {"gpt-*": "nightschool", "claude-*": "nightschool"})
    profile: str = ""
