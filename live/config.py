"""What `cameras.toml` may say: which cameras there are, what is asked of each, and where everything goes.

Passwords of cameras are in this file or, as `${NAME}`, in the environment; nothing here shows them (see `credentials`).
"""

import ipaddress
import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from aadc.live.addresses import SCHEMES, Kind, check_address, check_source, kind_of
from aadc.live.areas import MOST_POLYGONS, Blackout, Zones
from aadc.live.credentials import hide_credentials, secrets_of
from aadc.live.host_names import check_name, with_port
from aadc.live.rules import EventRules
from aadc.manifests.records import Record

NO_LLM = "none"  # words composed from the facts
MOST_CAMERAS = 1000


class Asked(Record, extra="forbid"):
    """A part of a file that a person writes: a name that is not known was a slip, and may be a blackout that is not painted."""


class CameraRules(EventRules, extra="forbid"):
    """`EventRules` as they are written in the file."""


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
        check_source(source.get_secret_value())
        return source

    @field_validator("clip_url")
    @classmethod
    def _some_address(cls, url: SecretStr | None) -> SecretStr | None:
        return check_address(url, SCHEMES, f"not an address ({', '.join(SCHEMES)})")

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
        return check_address(url, ("http", "https"), "not an http or https address")

    @field_validator("mqtt")
    @classmethod
    def _broker(cls, url: SecretStr | None) -> SecretStr | None:
        return check_address(url, ("mqtt", "mqtts"), "not an address of a broker (mqtt, mqtts)")


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
        return check_address(url, ("http", "https"), "not an http or https address")

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
