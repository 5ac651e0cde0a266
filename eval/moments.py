"""Looking for words: the moments of a run that CLIP finds most like them.

What is compared, and how, is `likeness`. These are CLIP's own embeddings, not the head's: the head learns to tell its classes
apart and forgets about the rest (`docs/decisions.md`).
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from aadc.eval.likeness import likeness
from aadc.eval.sheets import write_rows
from aadc.eval.spans import clock
from aadc.eval.tables import text
from aadc.extract.clip_model import Clip
from aadc.extract.shards import ShardSet
from aadc.extract.video_features import VideoFeatures
from aadc.manifests.errors import UserError
from aadc.manifests.files import replacing

FIELDS = ("frame", "time", "scene", "crop", "count", "box")
APART_S = 5.0


@dataclass(frozen=True)
class Moment:
    """A frame of a video and its time, cosine to the words, by how many standard deviations of all snippets of the run it
    stands out, and the box it is about (cx cy w h, relative; the whole frame is 0.5 0.5 1 1)."""

    video: str
    frame: int
    time_s: float
    similarity: float
    stands_out: float
    box: tuple[float, float, float, float]


def best_moments(
    shards: ShardSet, clip: Clip, words: str, count: int = 100, tell: Callable[[], None] = lambda: None
) -> list[Moment]:
    """The `count` most similar moments, best first, at least `APART_S` seconds from each other within a video.

    Raises:
        UserError: there are no words or too many, or features that are not finite.
    """
    text_C = embedded_words(clip, words)
    moments, every = [], []
    for _, features in shards.read_videos(shards.keys, FIELDS):
        similarity, thing = similarities(features, text_C)
        if not np.isfinite(similarity).all():
            raise UserError(f"{features.video}: its features are not all finite numbers; extract it again")
        every.append(similarity)
        for row in _peaks(similarity, features.time):
            box = features.box[row, thing[row] - 1] if thing[row] else np.array([0.5, 0.5, 1, 1])
            moments.append(
                (features.video, int(features.frame[row]), float(features.time[row]), float(similarity[row]), box.tolist())
            )
        tell()
    if not every:
        raise UserError(f"{shards.folder}: no videos in it; run aadc-extract first")
    mean, deviation = np.concatenate(every).mean(), max(np.concatenate(every).std(), 1e-9)
    moments.sort(key=lambda moment: -moment[3])
    return [
        Moment(video, frame, time_s, similarity, float((similarity - mean) / deviation), tuple(box))
        for video, frame, time_s, similarity, box in moments[:count]
    ]


def embedded_words(clip: Clip, words: str) -> np.ndarray:
    """CLIP's embedding of some words, float32 (C,) of length 1.

    Raises:
        UserError: there are none, or more than CLIP reads.
    """
    words = words.strip()
    if not words:
        raise UserError('there are no words to look for; for example aadc-find "a person lying on the floor"')
    tokens = clip.tokenizer([words])
    if _cut(clip, words, tokens):
        raise UserError(f"more words than CLIP reads ({tokens.shape[1]} tokens at most); say it shorter")
    with torch.inference_mode():
        text_C = clip.model.encode_text(tokens)[0].numpy()
    return text_C / np.linalg.norm(text_C)


def _cut(clip: Clip, words: str, tokens: torch.Tensor) -> bool:
    """Whether a tokenizer left out words in silence: given more room, it fills it with something else than padding."""
    room = tokens.shape[1]
    roomy = clip.tokenizer([words], context_length=8 * room)
    return not torch.equal(roomy[:, :room], tokens) or bool((roomy[:, room:] != roomy[:, -1:]).any())


def similarities(features: VideoFeatures, text_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest cosine of each snippet (T,), and what has it, as `likeness`."""
    things_TNC = np.concatenate([features.scene[:, None], features.crop], axis=1)
    return likeness(things_TNC, features.count, text_C)


def _peaks(similarity: np.ndarray, time_s: np.ndarray) -> list[int]:
    """Rows, best first, each at least `APART_S` from all better ones."""
    rows: list[int] = []
    free = np.ones(len(similarity), bool)
    for row in np.argsort(-similarity, kind="stable"):
        if free[row]:
            rows.append(int(row))
            free &= np.abs(time_s - time_s[row]) >= APART_S
    return rows


def write_moments(moments: list[Moment], path: Path) -> None:
    """Moments as CSV, best first."""
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        rows = (
            (rank, *astuple(moment)[:-1], " ".join(f"{value:.3f}" for value in moment.box))
            for rank, moment in enumerate(moments, 1)
        )
        write_rows(file, ("rank", *(field.name for field in fields(Moment))), rows)


def moments_table(moments: Sequence[Moment], words: str) -> Table:
    """Where to look first."""
    table = Table(title=text(f'most like "{words}"'), title_justify="left")
    table.add_column("video", overflow="fold")
    table.add_column("at", justify="right")
    table.add_column("cosine", justify="right")
    table.add_column("stands out (deviations)", justify="right")
    for moment in moments:
        table.add_row(text(moment.video), clock(moment.time_s), f"{moment.similarity:.3f}", f"{moment.stands_out:+.1f}")
    return table
