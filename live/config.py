"""`cameras.toml`: which cameras there are, what is asked of each, and where everything goes. Every mistake is told at once.

Passwords of cameras are in this file or, as `${NAME}`, in the environment; nothing here shows them (see `credentials`).
"""

import ipaddress
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import numpy as np
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator

from aadc.live.credentials import fill_in, hide_credentials, secrets_of
from aadc.live.host_names import check_name, with_port
from aadc.live.rules import EventRules
from aadc.manifests.errors import UserError
from aadc.manifests.records import MOST_BYTES, Record, problems_of

SCHEMES = ("rtsp", "rtsps", "http", "https")
NO_LLM = "none"  # words composed from the facts
WEBRTC = "webrtc"  # a peer sends the pictures (WHIP)
MOST_CAMERAS, MOST_POLYGONS, MOST_CORNERS = 1000, 100, 1000
_WAY_OUT = "mend it and start again"

Kind = Literal["url", "device", "file", "webrtc"]
Share = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[list[tuple[Share, Share]], Field(min_length=3, max_length=MOST_CORNERS)]


def _an_area(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners in an order in which they go around something. Others are filled in part, and show what was to be hidden."""
    a_N2 = np.array(corners)
    b_N2 = np.roll(a_N2, -1, axis=0)

    def side(from_: np.ndarray, to: np.ndarray, of: np.ndarray) -> np.ndarray:
        """On which side of each line (N, ...) each point (..., M) is: above 0, below 0, on it."""
        (x, y), (u, v) = (to - from_).T[:, :, None], (of[None] - from_[:, None]).transpose(2, 0, 1)
        return np.sign(x * v - y * u)

    apart = side(a_N2, b_N2, a_N2) * side(a_N2, b_N2, b_N2) < 0  # ends of line j lie on both sides of line i
    if (apart & apart.T).any():
        raise ValueError("its lines cross: name the corners in order, around the area")
    if abs(a_N2[:, 0] @ b_N2[:, 1] - b_N2[:, 0] @ a_N2[:, 1]) < 1e-9:
        raise ValueError("has no area, so it would hide nothing")
    return corners


Blackout = Annotated[Polygon, AfterValidator(_an_area)]


class Asked(Record, extra="forbid"):
    """A part of a file that a person writes: a name that is not known was a slip, and may be a blackout that is not painted."""


class CameraRules(EventRules, extra="forbid"):
    """`EventRules` as they are written in the file."""


class Zone(Asked):
    """A named part of the picture; corners (x, y) as shares of width and height, from the top left."""

    name: str = Field(min_length=1, max_length=100)
    polygon: Polygon


def _told_apart(zones: list[Zone]) -> list[Zone]:
    twice = [name for name, times in Counter(zone.name for zone in zones).items() if times > 1]
    if twice:
        raise ValueError(f"two zones are called {', '.join(twice)}")
    return zones


Zones = Annotated[list[Zone], Field(max_length=MOST_POLYGONS), AfterValidator(_told_apart)]


class Camera(Asked):
    """One camera. `source`: an address (rtsp, rtsps, http, https), a device (/dev/video0), a file, or `webrtc`."""

    name: str = Field(min_length=1, max_length=100)
    source: SecretStr
    clip_url: SecretStr | None = Field(None, description="kept for a finer stream for clips; not read yet")
    certificate: Path | None = Field(None, description="of rtsps and https: PEM file of its certificate, or of who signed it")
    certificate_name: str | None = Field(None, min_length=1, description="name in it, where it is not that of the address")
    enabled: bool = True
    loop: bool = Field(False, description="of a file: begin again at its end")
    pace: float = Field(1.0, gt=0, le=1000, description="of a file: how much faster than it was taken")
    rules: CameraRules | None = Field(None, description="instead of those for all cameras")
    zones: Zones = []
    blackouts: list[Blackout] = Field([], max_length=MOST_POLYGONS, description="parts that nobody and nothing ever sees")

    @field_validator("name")
    @classmethod
    def _fit_for_a_name(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip() or set(name) & set('/\\#+$"'):
            raise ValueError('has a character that names cannot have (/ \\ # + $ ", unprintable ones, spaces around it)')
        if name in (".", ".."):
            raise ValueError(f"{name} leads elsewhere in every address; take a word")
        return name

    @field_validator("source")
    @classmethod
    def _some_source(cls, source: SecretStr) -> SecretStr:
        _check_source(source.get_secret_value())
        return source

    @field_validator("clip_url")
    @classmethod
    def _some_address(cls, url: SecretStr | None) -> SecretStr | None:
        return _address(url, SCHEMES, f"not an address ({', '.join(SCHEMES)})")

    @property
    def kind(self) -> Kind:
        """What sort of source this is."""
        return kind_of(self.source.get_secret_value())

    @property
    def trust(self) -> dict[str, str]:
        """What `open_source` is told of its certificate."""
        told = {"certificate": self.certificate, "certificate_name": self.certificate_name}
        return {key: str(value) for key, value in told.items() if value is not None}

    @property
    def shown_source(self) -> str:
        """The source without its password."""
        return hide_credentials(self.source.get_secret_value(), self.secrets)

    @property
    def secrets(self) -> list[str]:
        """Words that must not be seen anywhere."""
        urls = [self.source] if self.clip_url is None else [self.source, self.clip_url]
        return [word for url in urls for word in secrets_of(url.get_secret_value())]


class Retention(Asked):
    """How long clips and events stay; what comes first counts. None: without an end."""

    days: float | None = Field(30.0, gt=0, le=36500)
    gigabytes: float | None = Field(10.0, gt=0, le=1e6)
    free_gigabytes: float = Field(1.0, ge=0, le=1e6, description="so much of the disk is left to others")


class Notices(Asked):
    """Whom events are told; nobody unless one asks for it."""

    webhook: SecretStr | None = None
    mqtt: SecretStr | None = Field(None, description="broker, as mqtt://USER:PASSWORD@HOST:1883 (mqtts for TLS)")
    mqtt_topic: str = Field("aadc", pattern=r"^[^#+\s]+$", description="what all topics begin with")

    @field_validator("webhook")
    @classmethod
    def _web_address(cls, url: SecretStr | None) -> SecretStr | None:
        return _address(url, ("http", "https"), "not an http or https address")

    @field_validator("mqtt")
    @classmethod
    def _broker(cls, url: SecretStr | None) -> SecretStr | None:
        return _address(url, ("mqtt", "mqtts"), "not an address of a broker (mqtt, mqtts)")


class Words(Asked):
    """The language model that describes events after their end; none unless one asks for it."""

    llm: str | None = Field(
        None, min_length=1, max_length=1000, description="name, folder or GGUF file of a model, smollm2, or none"
    )
    url: SecretStr | None = Field(None, description="OpenAI-compatible address of one, as http://127.0.0.1:8080/v1")
    timeout_s: float = Field(60.0, gt=0, le=600, description="most seconds for an answer")

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: SecretStr | None) -> SecretStr | None:
        return _address(url, ("http", "https"), "not an http or https address")

    @model_validator(mode="after")
    def _one_model(self) -> "Words":
        if self.llm == NO_LLM and self.url is not None:
            raise ValueError(f"llm = {NO_LLM!r} and url exclude each other: leave one of them out")
        return self

    @property
    def asked(self) -> bool:
        """Whether there is a model at all."""
        return self.url is not None or self.llm not in (None, NO_LLM)


class Web(Asked):
    """The server with the dashboard. On this machine alone, unless another `host` is given."""

    enabled: bool = True
    host: str = Field("127.0.0.1", min_length=1, max_length=255, description="address it listens on")
    port: int = Field(8765, ge=1, le=65535)
    certificate: Path | None = Field(None, description="PEM file; one is made where none is given and TLS is needed")
    key: Path | None = Field(None, description="PEM file that goes with it")
    behind_proxy: bool = Field(False, description="a reverse proxy on this machine does TLS")
    names: list[str] = Field([], max_length=100, description="host names that people use for it")
    far_origins: list[str] = Field([], max_length=100, description="other sites whose pages may publish and watch with a token")
    media_addresses: list[str] | None = Field(
        None, max_length=16, description="addresses for WebRTC; those of `host` if not set"
    )
    public_address: str | None = Field(None, description="what this machine is called from outside, behind NAT")
    take_over: bool = Field(False, description="a second publisher of a camera replaces the first")

    @field_validator("names")
    @classmethod
    def _names_of_hosts(cls, names: list[str]) -> list[str]:
        for name in names:
            check_name(name)
        return names

    @field_validator("far_origins")
    @classmethod
    def _origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if not re.fullmatch(r"https?://[^\s/@?#*]+", origin):
                raise ValueError(f"{origin!r} is no origin, as https://site.example is (nothing behind the host, none for all)")
        return origins

    @field_validator("media_addresses")
    @classmethod
    def _addresses_of_this_machine(cls, addresses: list[str] | None) -> list[str] | None:
        for address in addresses or ():
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise ValueError(f"{address!r} is no IP address") from None
        return addresses

    @field_validator("public_address")
    @classmethod
    def _one_word(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"[!-~]+", address):  # it goes into descriptions of connections
            raise ValueError("is no address")
        return address

    @model_validator(mode="after")
    def _both_files(self) -> "Web":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: name both, or none for one of our own")
        return self

    @property
    def address(self) -> str | None:
        """What people's browsers call the server, for links in notices; None where there is none, or no name is known."""
        if not self.enabled or (not self.names and self.host in ("0.0.0.0", "::")):
            return None
        bare = f"[{self.host}]" if ":" in self.host else self.host
        if self.behind_proxy:
            return f"https://{self.names[0]}" if self.names else None
        scheme = "http" if bare in ("localhost", "[::1]") or bare.startswith("127.") else "https"
        return f"{scheme}://{with_port(self.names[0] if self.names else bare, self.port)}"


class LiveConfig(Asked):
    """All of `cameras.toml`. `cameras` are its `[[camera]]` parts."""

    data: Path = Field(Path("live"), description="folder for events, clips and all else that is kept")
    run: Path | None = Field(None, description="run folder whose models and head score")
    window: int | None = Field(
        None, ge=1, le=1_000_000, description="snippets a score is made from; those of the training if not set"
    )
    ahead: int = Field(4, ge=0, le=1000, description="how many of them come after the one that is scored")
    snippet_s: float | None = Field(None, gt=0, le=60, description="seconds a snippet lasts; as in the training if not set")
    gate: float | None = Field(None, ge=0, le=255, description="levels of change below which a frame is carried over")
    view_fps: float = Field(15.0, gt=0, le=60, description="frames a second for clips and those who look, at most")
    view_px: int = Field(960, ge=64, le=4096, description="their longer side")
    rules: CameraRules = CameraRules()
    retention: Retention = Retention()
    notices: Notices = Notices()
    words: Words = Words()
    web: Web = Web()
    cameras: list[Camera] = Field(alias="camera", min_length=1, max_length=MOST_CAMERAS)

    def rules_of(self, camera: Camera) -> EventRules:
        """The camera's own rules, else those for all."""
        return camera.rules or self.rules

    @property
    def secrets(self) -> list[str]:
        """Words that must not be seen anywhere."""
        urls = [url.get_secret_value() for url in (self.notices.webhook, self.notices.mqtt, self.words.url) if url is not None]
        return [word for camera in self.cameras for word in camera.secrets] + [word for url in urls for word in secrets_of(url)]


@dataclass(frozen=True)
class ReadConfig:
    """What a file says, every word that must not be shown (those from the environment too), and what its owner should know.
    `text`: the file as it was read, for processes that are to go by the same, whatever becomes of it meanwhile."""

    config: LiveConfig
    secrets: tuple[str, ...]
    cautions: tuple[str, ...]
    text: str = field(default="", repr=False)


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


def kind_of(source: str) -> Kind:
    """Which sort of source a text names."""
    if source == WEBRTC:
        return "webrtc"
    if _scheme(source):
        return "url"
    return "device" if source.startswith("/dev/") else "file"


def _check_source(source: str) -> None:
    scheme = _scheme(source)
    if not source.strip() or "\0" in source:
        raise ValueError("is empty")
    if scheme and scheme not in SCHEMES:
        raise ValueError(
            f"an address that begins with {scheme}: is not read; there are {', '.join(SCHEMES)}, devices, files, {WEBRTC}"
        )
    if scheme:
        _check_host(source)


def _check_host(address: str) -> None:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not an address; special characters of a password are written in percent (%40 for @)") from None
    if not host:
        raise ValueError("an address without a host")
    if not address.isprintable():
        raise ValueError("an address with signs that cannot be printed")


def _address(url: SecretStr | None, schemes: tuple[str, ...], wrong: str) -> SecretStr | None:
    """An address that something is asked at; what it is wrong with it never shows it."""
    if url is not None:
        address = url.get_secret_value()
        if _scheme(address) not in schemes:
            raise ValueError(wrong)
        _check_host(address)
        if not address.isascii() or " " in address:
            raise ValueError("not an address; spaces and special characters are written in percent (%20, %C3%BC)")
    return url


def _scheme(source: str) -> str:
    """What an address begins with, in small letters; nothing for a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", source)
    return found[1].lower() if found else ""


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
