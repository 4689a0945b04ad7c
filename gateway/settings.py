"""Settings: what a person may choose, where it is read from, and where things lie on disk.

Owns the settings file, the NIGHTSCHOOL_* environment (nothing else reads it), the profiles and the folders. Knows
nothing of what the settings do.
"""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs

from gateway.access.keys import read_keys
from gateway.errors import SettingsError, StartError

PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "embedded": {"student": {"model": "embedded"}, "teacher": {"model": "expert"}},
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
    teachers: Literal["ordered", "balanced"] = "ordered"  # how several teachers share the work
    confidence: float = 0.6  # the least token probability a draft must show, 0..1
    holdout: float = 0.05  # share of conversations that always go to the teacher


class NightSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    examination: str = "demo"  # the name of one that ships with Nightschool, or a .toml file
    memory_bytes: int = 20_000_000_000  # what training borrows from the gateway while it runs
    minimum: int = 50  # conversations; with fewer that pass the filters there is no night
    recipe: dict[str, Any] = {}  # fields of the training recipe that differ from its defaults


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    otlp_endpoint: str = ""  # a collector of OpenTelemetry that takes OTLP over HTTP; empty: nothing is sent


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    gateway: GatewaySettings = GatewaySettings()
    student: BackendSettings = BackendSettings()
    teacher: BackendSettings = BackendSettings()
    teachers: dict[str, BackendSettings] = {}  # more of them, by name
    router: RouterSettings = RouterSettings()
    night: NightSettings = NightSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    aliases: dict[str, str] = msgspec.field(default_factory=lambda: {"gpt-*": "nightschool", "claude-*": "nightschool"})
    profile: str = ""


class Home(msgspec.Struct, frozen=True):
    """The two state folders."""

    data: Path
    models: Path


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "gateway": GatewaySettings,
    "student": BackendSettings,
    "teacher": BackendSettings,
    "router": RouterSettings,
    "night": NightSettings,
    "telemetry": TelemetrySettings,
}


def load(
    path: Path | None = None, profile: str = "", environment: Mapping[str, str] | None = None, overrides: Any = None
) -> Settings:
    """Settings from profile, file, environment and overrides, the later winning.

    Raises SettingsError with one line that says what is wrong and where.
    """
    environment = os.environ if environment is None else environment
    given = _read(path or _default_file(environment))
    layers = [given, _from_environment(environment), overrides or {}]
    profile = profile or environment.get("NIGHTSCHOOL_PROFILE", "") or str(given.get("profile", ""))
    merged: dict[str, Any] = {"profile": profile}
    for layer in [_profile(profile), *layers]:
        for section, values in layer.items():
            earlier = merged.get(section, {})
            if not isinstance(earlier, dict):
                continue  # wrong already; _convert says so
            merged[section] = {**_without_rival(earlier, values), **values} if isinstance(values, dict) else values
    return _check(_convert(merged))


def home(settings: Settings, environment: Mapping[str, str] | None = None) -> Home:
    """The state folders: NIGHTSCHOOL_HOME or gateway.home, else the checkout, else the platform's data folder."""
    environment = os.environ if environment is None else environment
    chosen = environment.get("NIGHTSCHOOL_HOME", "") or settings.gateway.home
    checkout = _checkout()
    root = Path(chosen) if chosen else checkout or Path(platformdirs.user_data_dir("nightschool"))
    return Home(data=root.resolve() / "data", models=root.resolve() / "models")


def keys_file(folders: Home) -> Path:
    return folders.data / "keys.json"


def make_home(folders: Home) -> Home:
    """Make the state folders and prove that they can be written to. Raises StartError."""
    for folder in (folders.data, folders.models):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"\0" * 65536)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StartError(
                f"cannot write to {folder}: {reason}; free it or set NIGHTSCHOOL_HOME to another folder"
            ) from error
    return folders


def shared(*parts: str) -> Path:
    """A file or folder that ships with Nightschool, such as shared("data", "questions"). Raises StartError."""
    roots = [root for root in (_checkout(), Path(sys.prefix, "share", "nightschool")) if root is not None]
    for root in roots:
        if root.joinpath(*parts).exists():
            return root.joinpath(*parts)
    raise StartError(f"{'/'.join(parts)} is missing from this installation: install nightschool again")


def catalog() -> dict[str, dict[str, Any]]:
    """The catalogue of models known to work, by name."""
    return tomllib.loads(shared("models", "catalog.toml").read_text())


def model_folder(model: str, folders: Home) -> Path:
    """Where a local model lies, by catalogue name or path. Raises SettingsError for what is neither."""
    model = EMBEDDED if model == "embedded" else model
    entries = catalog()
    if model in entries:
        return folders.models / model
    if Path(model).is_dir():
        return Path(model).resolve()
    raise SettingsError(
        f"there is no model folder '{model}', and the catalogue has no such name{_nearest(model, entries)}"
    )


def require_model(model: str, folders: Home) -> Path:
    """As model_folder, for a model that must be there already or can be made (the embedded one)."""
    folder = model_folder(model, folders)
    if "package" in catalog().get(folder.name, {}) or (folder / "config.json").exists():
        return folder
    source = catalog().get(folder.name, {}).get("repository", "")
    remedy = f"download {source} into it" if source else "it holds no config.json"
    raise SettingsError(f"the model folder {folder} is missing or empty: {remedy}")


def api_key(variable: str, environment: Mapping[str, str] | None = None) -> str:
    """The key in the environment variable that a backend's settings name. Raises SettingsError when it is not set."""
    if not variable:
        return ""
    key = (os.environ if environment is None else environment).get(variable, "")
    if not key:
        raise SettingsError(f"the environment variable {variable}, which should hold a key, is not set")
    return key


def gateway_url(settings: Settings) -> str:
    """Where programs on this machine reach a gateway with these settings, without /v1."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.gateway.host, settings.gateway.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.gateway.port}"


def agent_environment(
    added: Mapping[str, str], unset: list[str], environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment for a program of the user's own, with some variables set and others taken away."""
    environment = os.environ if environment is None else environment
    return {name: value for name, value in {**environment, **added}.items() if name not in unset}


def file_in_effect(path: Path | None, environment: Mapping[str, str] | None = None) -> Path | None:
    """The settings file that `load` would read, as an absolute path; None: there is none."""
    found = path or _default_file(os.environ if environment is None else environment)
    return found.resolve() if found is not None else None


def unit_folder(system: str, environment: Mapping[str, str] | None = None) -> Path:
    """Where the user's own services are described, on "Darwin" or "Linux"."""
    environment = os.environ if environment is None else environment
    user = Path(environment.get("HOME") or Path.home())
    if system == "Darwin":
        return user / "Library" / "LaunchAgents"
    return Path(environment.get("XDG_CONFIG_HOME") or user / ".config") / "systemd" / "user"


def _checkout() -> Path | None:
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").exists() else None


def _default_file(environment: Mapping[str, str]) -> Path | None:
    if chosen := environment.get("NIGHTSCHOOL_CONFIG"):
        return Path(chosen)
    return next((path for path in [Path("nightschool.toml")] if path.exists()), None)


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"cannot read the settings file {path}: {getattr(error, 'strerror', None) or error}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the settings file {path} is not valid TOML: {error}") from error


def _profile(name: str) -> dict[str, dict[str, Any]]:
    if name and name not in PROFILES:
        raise SettingsError(f"there is no profile '{name}'{_nearest(name, PROFILES)}; there are {', '.join(PROFILES)}")
    return PROFILES.get(name, {})


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """NIGHTSCHOOL_GATEWAY_PORT=9000 as {"gateway": {"port": "9000"}}."""
    found: dict[str, dict[str, Any]] = {}
    for variable, value in environment.items():
        section, _, key = variable.removeprefix("NIGHTSCHOOL_").lower().partition("_")
        if variable.startswith("NIGHTSCHOOL_") and section in _SECTIONS:
            kind = _SECTIONS[section].__annotations__.get(key, "")
            found.setdefault(section, {})[key] = value.split(",") if "list" in str(kind) else value
    return found


def _without_rival(earlier: dict[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """A backend is a model or a URL: a later layer that sets one takes the place of an earlier layer's other."""
    rival = "model" if later.get("url") else "url" if later.get("model") else ""
    return {key: value for key, value in earlier.items() if key != rival}


def _convert(merged: dict[str, Any]) -> Settings:
    _refuse_unknown(merged, [*_SECTIONS, "teachers", "aliases", "profile"], "")
    for section, struct in _SECTIONS.items():
        if not isinstance(merged.get(section, {}), dict):
            raise SettingsError(f"the setting {section} is wrong: it is a section, [{section}], not a value")
        _refuse_unknown(merged.get(section, {}), struct.__struct_fields__, f"{section}.")
    for name, values in _tables(merged.get("teachers", {})):
        _refuse_unknown(values, BackendSettings.__struct_fields__, f"teachers.{name}.")
    try:
        return msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise SettingsError(f"the setting {where.rstrip('`')} is wrong: {what}") from error


def _tables(teachers: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sections [teachers.NAME]."""
    for name, values in teachers.items() if isinstance(teachers, dict) else ():
        if not isinstance(values, dict):
            raise SettingsError(
                f"the setting teachers.{name} is wrong: it is a section, [teachers.{name}], not a value"
            )
        yield name, values


def _refuse_unknown(values: Mapping[str, Any], known: Any, prefix: str) -> None:
    for key in values:
        if key not in known:
            raise SettingsError(f"there is no setting '{prefix}{key}'{_nearest(key, known, prefix)}")


def _nearest(word: str, known: Any, prefix: str = "") -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)
    return f" (did you mean '{prefix}{near[0]}'?)" if near else ""


def _check(settings: Settings) -> Settings:
    more = {f"teachers.{name}": backend for name, backend in settings.teachers.items()}
    for arm, backend in {"student": settings.student, "teacher": settings.teacher, **more}.items():
        if backend.model and backend.url:
            raise SettingsError(f"[{arm}] has both 'model' and 'url': keep one")
        if arm in more and not (backend.model or backend.url):
            raise SettingsError(f"[{arm}] needs a 'model' or a 'url'")
        if backend.url and not backend.url.startswith(("http://", "https://")):
            raise SettingsError(f"{arm}.url must start with http:// or https://, not '{backend.url}'")
    _check_prices(settings)
    for name in ("confidence", "holdout"):
        if not 0 <= getattr(settings.router, name) <= 1:
            raise SettingsError(f"router.{name} must be between 0 and 1")
    endpoint = settings.telemetry.otlp_endpoint
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise SettingsError(f"telemetry.otlp_endpoint must start with http:// or https://, not '{endpoint}'")
    if not 0 < settings.gateway.port < 65536:
        raise SettingsError(f"gateway.port must be between 1 and 65535, not {settings.gateway.port}")
    return settings


def _check_prices(settings: Settings) -> None:
    student, teacher = settings.student, settings.teacher
    if student.price_input or student.price_output or student.daily_limit:
        raise SettingsError("[student] has prices or a daily_limit: only the teacher's spending is counted")
    if teacher.daily_limit and not (teacher.price_input or teacher.price_output):
        raise SettingsError("teacher.daily_limit needs teacher.price_input and teacher.price_output")


def check_servable(settings: Settings, environment: Mapping[str, str] | None = None) -> Settings:
    """What `serve` needs beyond valid settings. Raises SettingsError, or StartError for damaged keys."""
    if not (settings.student.model or settings.student.url or settings.teacher.model or settings.teacher.url):
        raise SettingsError(
            "no student and no teacher are set: run 'nightschool init' to write nightschool.toml, "
            "or try 'nightschool serve --profile embedded'"
        )
    if not (settings.teacher.model or settings.teacher.url) and settings.router.policy != "student":
        raise SettingsError("[teacher] needs a 'model' or a 'url' (or set router.policy to 'student')")
    if not (settings.student.model or settings.student.url) and settings.router.policy != "teacher":
        raise SettingsError("[student] needs a 'model' or a 'url' (or set router.policy to 'teacher')")
    if settings.gateway.host not in LOOPBACK and not read_keys(keys_file(home(settings, environment))):
        raise SettingsError(
            f"gateway.host is {settings.gateway.host}: an address that others can reach needs API keys, and there are "
            "none; make one with 'nightschool keys add NAME', or use 127.0.0.1"
        )
    return settings
