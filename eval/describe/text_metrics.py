"""How near descriptions are to what people wrote of the same videos: BLEU, ROUGE-L and CIDEr of pycocoevalcap.

References are a JSON object by video. UCA's layout (UCF-Crime Annotation) has sentences with timestamps: joined in order of
time, they are one reference of the whole video. HIVAU-70k's has a summary of the video. A text, or a list of texts, is as many
references. HIVAU-70k's questions (JSON lines) hold texts too: its answers that describe a whole video.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from aadc.manifests.errors import UserError
from aadc.manifests.extras import needed
from aadc.manifests.records import problems_of


class Timed(BaseModel):
    """UCA's entry of a video: sentences, each with its start and end in seconds."""

    model_config = ConfigDict(extra="ignore")

    timestamps: list[tuple[float, float]]
    sentences: list[str]

    @model_validator(mode="after")
    def _agree(self) -> "Timed":
        if len(self.timestamps) != len(self.sentences):
            raise ValueError(f"{len(self.sentences)} sentences but {len(self.timestamps)} timestamps")
        return self

    def paragraph(self) -> str:
        return " ".join(text for _, text in sorted(zip(self.timestamps, self.sentences, strict=True)))


class Summed(BaseModel):
    """HIVAU-70k's entry of a video, of which the summary is read."""

    model_config = ConfigDict(extra="ignore")

    video_summary: str


class Question(BaseModel):
    """A line of HIVAU-70k's questions. Its files spell the answer's name this way."""

    model_config = ConfigDict(extra="ignore")

    type: str
    task: str
    video: str
    anwser: str


def read_references(path: Path) -> dict[str, list[str]]:
    """References by video (as the file names it). `UserError` says what is wrong with the file, or that the library lacks."""
    _library()
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            return _of_questions(path, text)
        found = TypeAdapter(dict[str, Timed | Summed | str | list[str]]).validate_python(json.loads(text))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; --references wants a JSON object of texts by video") from None
    except ValidationError as error:
        raise UserError(f"{path}: {problems_of(error)[:300]}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file ({error})") from None
    return {name: own for name, one in found.items() if (own := [text for text in _texts(one) if text.strip()])}


def _texts(one: Timed | Summed | str | list[str]) -> list[str]:
    if isinstance(one, Timed):
        return [one.paragraph()]
    if isinstance(one, Summed):
        return [one.video_summary]
    return [one] if isinstance(one, str) else one


def _of_questions(path: Path, text: str) -> dict[str, list[str]]:
    """Descriptions of whole videos, by the file's name without its ending: the lists have folders of their own before it."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            one = Question.model_validate(json.loads(line))
        except ValidationError as error:
            raise UserError(f"{path}, line {number}: {problems_of(error)[:300]}") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: not JSON ({error})") from None
        if (one.type, one.task) == ("video", "description") and one.anwser.strip():
            found.setdefault(Path(one.video).stem, []).append(one.anwser)
    return found


def _library() -> tuple:
    """pycocoevalcap's three metrics; asked for before an hour of describing, not after."""
    with needed("--references", "words"):
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    return Bleu, Rouge, Cider


def text_figures(descriptions: Mapping[str, str], references: Mapping[str, list[str]]) -> dict[str, float]:
    """BLEU-1 to -4, ROUGE-L (as shares) and CIDEr of descriptions by video, over the videos that have references.

    A reference belongs to a video by its path in the manifest, or by its file's name without the ending, as UCA has it.

    Raises:
        UserError: no video has one.
    """
    Bleu, Rouge, Cider = _library()
    pairs = {}
    for video, text in descriptions.items():
        own = references.get(video) or references.get(Path(video).stem)
        if own:
            pairs[video] = ([_words(text)], [_words(one) for one in own])
    if not pairs:
        some = f"{next(iter(references), '')!r} there, {next(iter(descriptions))!r} here"
        raise UserError(f"none of the {len(descriptions)} videos has a text among the {len(references)} references ({some})")
    said = {video: pair[0] for video, pair in pairs.items()}
    wanted = {video: pair[1] for video, pair in pairs.items()}
    bleu, _ = Bleu(4).compute_score(wanted, said, verbose=0)
    rouge, _ = Rouge().compute_score(wanted, said)
    cider, _ = Cider().compute_score(wanted, said)
    figures = {f"bleu_{n}": float(value) for n, value in enumerate(bleu, 1)}
    return {"videos": len(pairs), **figures, "rouge_l": float(rouge), "cider": float(cider)}


def _words(text: str) -> str:
    """Lower case, times and words apart, no punctuation."""
    return " ".join(re.findall(r"\d+(?::\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?", text.lower()))
