"""The class card `<name>.toml` beside a manifest: what a data set is and the classes it knows, in order."""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aadc.manifests.errors import UserError
from aadc.manifests.files import replace_file
from aadc.manifests.records import read_record


class ClassEntry(BaseModel):
    """One class of a data set."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, description="as written in the manifest's `labels`")
    kind: Literal["normal", "abnormal"]
    prompt: str = Field(min_length=1, description="the words CLIP reads for it")

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not "".join(filter(str.isprintable, prompt)).strip():
            raise ValueError("empty; write what is to be seen, a few words")
        return prompt

    @field_validator("name")
    @classmethod
    def _free_of_separators(cls, name: str) -> str:
        if bad := sorted(set(name) & set("|;:")):
            raise ValueError(f"{name!r} has {' '.join(bad)} in it, which separate labels and segments; rename the class")
        if name != name.strip() or not name.isprintable():
            raise ValueError(f"{name!r} begins or ends with a space or has an unprintable character; rename the class")
        return name


class Card(BaseModel):
    """Title, source, licence and the ordered classes of a data set; `videos` may name its video root."""

    model_config = ConfigDict(extra="forbid")

    title: str
    source: str = ""
    licence: str = ""
    videos: str | None = Field(None, description="video root; a relative one counts from the card's own folder")
    classes: list[ClassEntry] = Field(min_length=1)

    @field_validator("classes")
    @classmethod
    def _names_are_unique(cls, classes: list[ClassEntry]) -> list[ClassEntry]:
        names = [entry.name for entry in classes]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"class named twice: {', '.join(twice)}")
        return classes

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.classes]

    @property
    def prompts(self) -> list[str]:
        return [entry.prompt for entry in self.classes]

    def kind(self, name: str) -> Literal["normal", "abnormal"]:
        """Kind of the class `name`; `KeyError` when the card has no such class."""
        for entry in self.classes:
            if entry.name == name:
                return entry.kind
        raise KeyError(name)

    def is_abnormal(self, labels: Iterable[str]) -> bool:
        """Whether a video with these labels is abnormal: one abnormal label is enough."""
        return any(self.kind(label) == "abnormal" for label in labels)


def read_card(path: Path) -> Card:
    """Read a class card. `UserError` names the file and every problem in it."""
    if not os.path.exists(path):
        raise UserError(
            f"{path}: there is no class card; every manifest needs one beside it: a title, and a [[classes]] entry a class "
            'with name, kind = "normal" or "abnormal", and prompt'
        )
    return read_record(path, Card, "mend it", tomllib.loads)


def write_card(card: Card, path: Path) -> None:
    """Write a card that `read_card` reads back equal."""
    lines = [f"title = {_quoted(card.title)}", f"source = {_quoted(card.source)}", f"licence = {_quoted(card.licence)}"]
    if card.videos is not None:
        lines.append(f"videos = {_quoted(card.videos)}")
    for entry in card.classes:
        lines += [
            "",
            "[[classes]]",
            f"name = {_quoted(entry.name)}",
            f"kind = {_quoted(entry.kind)}",
            f"prompt = {_quoted(entry.prompt)}",
        ]
    replace_file(path, "\n".join(lines) + "\n")


def _quoted(text: str) -> str:
    """A TOML basic string: the standard library reads TOML but does not write it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
