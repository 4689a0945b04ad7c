"""Settings: where they are read from, whether they make sense, and where things lie on disk.

Owns the settings file, the NIGHTSCHOOL_* environment (nothing else reads it) and the folders. Knows nothing of what the
settings do; what may be set stands in sections.
"""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from gateway.access.keys import read_keys
from gateway.errors import SettingsError, StartError
from gateway.schedule.window import time_of
from gateway.sections import (
    EMBEDDED,
    LOOPBACK,
    PROFILES,
    BackendSettings,
    CanarySettings,
    GatewaySettings,
    NightSettings,
    RouterSettings,
    Settings,
    TelemetrySettings,
    TracesSettings,
)


class Home(msgspec.Struct, frozen=True):
    """The two state folders."""

    data: Path
    models: Path


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "gateway": GatewaySettings,
    "student": BackendSettings,
    "teacher": BackendSettings,
    "router": RouterSettings,
    "canary": CanarySettings,
    "night": NightSettings,
    "traces": TracesSettings,
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
    """Where a local model lies, by catalogue name, by the name of its folder under models/, or by path. Raises
    SettingsError for what is none of them."""
    model = EMBEDDED if model == "embedded" else model
    entries = catalog()
    mine = Path(model).name == model and (folders.models / model / "config.json").exists()
    if mine or model in entries:
        return folders.models / model
    if Path(model).is_dir():
        return Path(model).resolve()
    raise SettingsError(
        f"there is no model folder '{model}', here or in {folders.models}, and the catalogue has no such name"
        f"{_nearest(model, entries)}"
    )


def require_model(model: str, folders: Home) -> Path:
    """As model_folder, for a model that must be there already or can be made (the embedded one)."""
    folder = model_folder(model, folders)
    if "package" in catalog().get(folder.name, {}) or (folder / "config.json").exists():
        return folder
    source = catalog().get(folder.name, {}).get("repository", "")
    remedy = f"download {source} into it" if source else "it holds no config.json"
    raise SettingsError(f"the model folder {folder} is missing or empty: {remedy}")


def made_model(folder: Path) -> Path:
    """The folder, if a model lies in it. Raises SettingsError that says how one gets there."""
    if not (folder / "config.json").exists():
        raise SettingsError(f"the model folder {folder} is missing or empty: nightschool models pull {folder.name}")
    return folder


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


def time_zone(environment: Mapping[str, str] | None = None) -> str:
    """The time zone that the environment names, as TZ; empty: none, and the machine's own holds."""
    return (os.environ if environment is None else environment).get("TZ", "")


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
    _check_what_teachers_have(settings)
    _check_night(settings.night)
    for name in ("confidence", "holdout"):
        if not 0 <= getattr(settings.router, name) <= 1:
            raise SettingsError(f"router.{name} must be between 0 and 1")
    endpoint = settings.telemetry.otlp_endpoint
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise SettingsError(f"telemetry.otlp_endpoint must start with http:// or https://, not '{endpoint}'")
    if not 0 < settings.gateway.port < 65536:
        raise SettingsError(f"gateway.port must be between 1 and 65535, not {settings.gateway.port}")
    return settings


def _check_what_teachers_have(settings: Settings) -> None:
    student, teacher = settings.student, settings.teacher
    if student.prompt:
        raise SettingsError("[student] has a prompt: the student learns to do without one; a teacher may have it")
    if student.price_input or student.price_output or student.daily_limit:
        raise SettingsError("[student] has prices or a daily_limit: only the teacher's spending is counted")
    if teacher.daily_limit and not (teacher.price_input or teacher.price_output):
        raise SettingsError("teacher.daily_limit needs teacher.price_input and teacher.price_output")


def _check_night(night: NightSettings) -> None:
    if night.samples == 1:
        raise SettingsError("night.samples must be 0, or 2 or more: one answer agrees with nobody")
    for name in ("at", "until"):
        try:
            time_of(getattr(night, name))
        except ValueError as error:
            raise SettingsError(f"night.{name} {error}") from error
    if time_of(night.at) == time_of(night.until):
        raise SettingsError(f"night.at and night.until are both {night.at}: that leaves a night no time")
    for folder in night.roots:
        if not (folder.startswith("/") or folder == "~" or folder.startswith("~/")):
            raise SettingsError(f"night.roots names '{folder}': a folder there begins with / or ~/")


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
