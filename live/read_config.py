"""Reading `cameras.toml`: every mistake is told at once, and no password shown."""

import os
import stat
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from aadc.live.config import Camera, LiveConfig
from aadc.live.credentials import fill_in, hide_credentials, secrets_of
from aadc.manifests.errors import UserError
from aadc.manifests.records import MOST_BYTES, problems_of

_WAY_OUT = "mend it and start again"


@dataclass(frozen=True)
class ReadConfig:
    """What a file says, every word that must not be shown (those from the environment too), and what its owner should know.
    `text`: the file as it was read, for processes that are to go by the same, whatever becomes of it meanwhile."""

    config: LiveConfig
    secrets: tuple[str, ...]
    cautions: tuple[str, ...]
    text: str = field(repr=False)


def read_config(path: Path, environment: Mapping[str, str] | None = None) -> ReadConfig:
    """Read `cameras.toml`; relative paths in it count from its own folder.

    Raises:
        UserError: it is not there, or is wrong; says all that is wrong with it, and shows no password.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"{path}: there is no such file; write one with a [[camera]] in it (docs/cameras.md shows how)"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error}); {_WAY_OUT}") from None
    return parse_config(text, path, environment, bool(mode & (stat.S_IRGRP | stat.S_IROTH)))


def parse_config(text: str, path: Path, environment: Mapping[str, str] | None = None, others_read: bool = False) -> ReadConfig:
    """As `read_config`, of the text of the file at `path`. `others_read`: whether others on this machine can read it."""
    try:
        values: Any = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({hide_credentials(error)}); {_WAY_OUT}") from None
    secrets: list[str] = []
    unset: list[str] = []
    values = _filled(values, environment, secrets, unset)
    problems = [f"{name} is not set in the environment" for name in dict.fromkeys(unset)]
    problems += _twice(values)
    try:
        config = LiveConfig.model_validate(values)
    except ValidationError as error:
        secrets += _addresses_in(values)
        problems.insert(0, problems_of(error, most=50).replace("Extra inputs are not permitted", "there is no such setting"))
    if problems:
        raise UserError(hide_credentials(f"{path}: {'; '.join(problems)}; {_WAY_OUT}", secrets)) from None
    config = _from_folder(config, path.parent)
    secrets += config.secrets
    cautions = []
    if others_read and any(word in text for word in config.secrets):
        cautions.append(
            f"{path}: holds passwords, and others on this machine can read it; chmod 600 it, or write ${{NAME}} there"
        )
    cautions += [
        f"{path}: clip_url of {camera.name} is not read yet; clips are made of the stream that is scored"
        for camera in config.cameras
        if camera.clip_url is not None
    ]
    return ReadConfig(config, tuple(dict.fromkeys(secrets)), tuple(cautions), text)


def _filled(values: Any, environment: Mapping[str, str] | None, secrets: list[str], unset: list[str]) -> Any:
    """All texts among the values with the environment's put in."""
    if isinstance(values, str):
        text, put_in, missing = fill_in(values, environment)
        secrets += put_in
        unset += missing
        return text
    if isinstance(values, dict):
        return {key: _filled(value, environment, secrets, unset) for key, value in values.items()}
    if isinstance(values, list):
        return [_filled(value, environment, secrets, unset) for value in values]
    return values


def _twice(values: Any) -> list[str]:
    cameras = values.get("camera", []) if isinstance(values, dict) else []
    names = [one.get("name") for one in cameras if isinstance(one, dict)] if isinstance(cameras, list) else []
    counted = Counter(name for name in names if isinstance(name, str))
    return [f"two cameras are called {name}" for name, times in counted.items() if times > 1]


def _addresses_in(values: Any) -> list[str]:
    """Secrets of every text of a file that is no good: a mistake may show any of them."""
    if isinstance(values, str):
        return secrets_of(values)
    inside = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return [word for value in inside for word in _addresses_in(value)]


def _from_folder(config: LiveConfig, folder: Path) -> LiveConfig:
    """The same with paths that count from the file's own folder."""

    def placed(camera: Camera) -> Camera:
        if camera.certificate is not None:
            camera = camera.model_copy(update={"certificate": (folder / camera.certificate).resolve()})
        if camera.kind != "file":
            return camera
        return camera.model_copy(update={"source": SecretStr(str(folder / camera.source.get_secret_value()))})

    pem = {name: folder / path for name in ("certificate", "key") if (path := getattr(config.web, name)) is not None}
    llm = {"llm": str(folder / config.words.llm)} if config.words.llm and os.path.exists(folder / config.words.llm) else {}
    changed = {
        "data": folder / config.data,
        "web": config.web.model_copy(update=pem),
        "words": config.words.model_copy(update=llm),
        "cameras": [placed(camera) for camera in config.cameras],
    }
    return config.model_copy(update=changed | ({} if config.run is None else {"run": folder / config.run}))
