"""Records on disk (JSON, TOML): read through a model, so that whatever can be wrong with one becomes one sentence.

Everything small that the program wrote, or that a person edited, comes in here: run.json, statistics, the attributes of shards,
the records of heads and describers, class cards. A record may be missing, torn, empty, of another program, nested a thousand
deep, as large as the disk; the reader says which file it is, what is wrong and what to do.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from aadc.manifests.errors import UserError
from aadc.manifests.files import regular

MOST_BYTES = 64 * 2**20


class Record(BaseModel):
    """What a file of ours says, and must say. Further keys are let be: a later version may have written them."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Sealed(Record):
    """A record with the hash of all that it says (`seal`), since a flipped bit leaves numbers numbers and words words.
    Records of earlier versions have none."""

    @model_validator(mode="wrap")
    @classmethod
    def _as_written(cls, values: Any, handler: ModelWrapValidatorHandler) -> Any:
        found = handler(values)  # first, for what is wrong with a field is the better sentence
        if isinstance(values, dict) and "seal" in values and values["seal"] != seal_of(values):
            raise ValueError("not as it was written, something in it has been changed since")
        return found


def seal_of(record: Mapping) -> str:
    """SHA-256 of what a record says, whatever the layout of the file."""
    plain = json.loads(json.dumps({name: value for name, value in record.items() if name != "seal"}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


R = TypeVar("R", bound=BaseModel)


def read_record(path: Path, kind: type[R], way_out: str, parse: Callable[[str], object] = json.loads) -> R:
    """The record in a file.

    Args:
        kind: model that says which fields there must be.
        way_out: what to do about a record that cannot be used, as the end of a sentence (`run aadc-extract again`).
        parse: text -> plain values; `tomllib.loads` for a card.
    Raises:
        UserError: the file is not there, cannot be read, or holds no such record.
    """
    try:
        with regular(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; {way_out}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); {way_out}") from None
    return parse_record(content, str(path), kind, way_out, parse)


def parse_record(
    content: bytes | str, where: str, kind: type[R], way_out: str, parse: Callable[[str], object] = json.loads
) -> R:
    """As `read_record`, of text from elsewhere: an attribute of a shard, the metadata of a safetensors file.

    Args:
        where: the place for the sentence, a file or a part of one.
    """
    if len(content) > MOST_BYTES:
        raise UserError(f"{where}: larger than any such record ({MOST_BYTES >> 20} MB); {way_out}")
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        values = parse(text)
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 text ({error.reason} at byte {error.start}); {way_out}") from None
    except (ValueError, TypeError) as error:
        what = "it is empty" if not content.strip() else str(error)
        raise UserError(f"{where}: cannot be read ({what}); {way_out}") from None
    except (RecursionError, MemoryError):
        raise UserError(f"{where}: nested too deep to be such a record; {way_out}") from None
    return check_record(values, where, kind, way_out)


def check_record(values: object, where: str, kind: type[R], way_out: str) -> R:
    """As `parse_record`, of values that are parsed already."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {problems_of(error)}; {way_out}") from None
    except RecursionError:
        raise UserError(f"{where}: nested too deep to be such a record; {way_out}") from None


def problems_of(error: ValidationError, most: int = 10) -> str:
    """A pydantic error as one line: `where: what`, separated by semicolons, the first `most` of them."""
    problems = []
    for item in error.errors(include_url=False)[:most]:
        where = " ".join(part if isinstance(part, str) else str(part + 1) for part in item["loc"])
        what = item["msg"].removeprefix("Value error, ")
        if item["type"] == "int_parsing":
            what = f"{_short(item['input'])} is not a whole number"
        elif item["type"] in ("model_type", "model_attributes_type", "dict_type"):
            what = f"not a set of named values, but {_short(item['input'])}"
        elif what.startswith("Input should"):
            what += f", not {_short(item['input'])}"
        problems.append(f"{where}: {what}" if where else what)
    if (more := error.error_count() - most) > 0:
        problems.append(f"and {more} more")
    return "; ".join(problems)


def _short(value: object) -> str:
    """A value as text that fits into a sentence."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # ValueError: an int too long to be written out
        return "something endless"
    return text if len(text) <= 80 else f"{text[:60]} …"
