"""The commands from Python, thin: the same functions, with arrays in place of files and tables. See `docs/python.md`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from pydantic import ValidationError

from aadc.eval.evaluate import evaluate
from aadc.eval.experiments import scored_rows
from aadc.eval.made_with import THRESHOLD
from aadc.eval.moments import Moment, best_moments
from aadc.eval.scores import Scored, score_split
from aadc.eval.spans import Span
from aadc.eval.video import Models, VideoScorer, most_like
from aadc.extract.clip_model import Clip
from aadc.extract.command import extract_manifest, settings_of
from aadc.extract.decode import VideoError
from aadc.extract.devices import choose_device
from aadc.extract.run_choice import named_run
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.extract.video_features import VideoFeatures
from aadc.head.checkpoint import LoadedHead, load_head
from aadc.head.config import HeadConfig
from aadc.head.text_tower import load_tower
from aadc.head.train import lock_of, train_head
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, Row
from aadc.manifests.records import problems_of

AnyPath = str | PathLike[str]


@dataclass(frozen=True)
class Answer:
    """What a head says of one video of T snippets.

    Attributes:
        video: its name in the manifest, or its path.
        spans: when something anomalous happens (frames and seconds), and which class it is.
        time_s: float64 (T,), presentation time of each sampled frame, seconds.
        score: float32 (T,), anomaly score of each snippet in [0, 1] (eq. 4).
        classes: float32 (T, C), each row a distribution over `names`.
        names: the C classes, normal ones too.
        probability: how sure it is that something anomalous happens, calibrated on the head's validation videos.
        category, share: the class of the whole video (of its highest span, else the likeliest normal one) and its share among
            the classes of its kind; None where it is the only one.
    """

    video: str
    spans: list[Span]
    time_s: np.ndarray
    score: np.ndarray
    classes: np.ndarray
    names: list[str]
    probability: float
    category: str
    share: float | None

    @property
    def anomalous(self) -> bool:
        """Whether there is a span."""
        return bool(self.spans)


class Run:
    """A run folder: its manifest, features, head and figures. Made by `open_run`, `extract` or `train`.

    What takes long to load (the head, the frozen models, CLIP's text side) is loaded when it is first needed, and kept.

    Args:
        path: the run folder.
        head: folder of the head; None for `head/` in the run.
        device: auto, cpu, cuda, cuda:1 …
        detector, clip: where the frozen models are now, if they have moved since the extraction.
    Raises:
        UserError: `path` is no run folder.
    """

    def __init__(
        self,
        path: AnyPath,
        *,
        head: AnyPath | None = None,
        device: str = "auto",
        detector: str | None = None,
        clip: str | None = None,
    ):
        self.folder: RunFolder = named_run(_path(path))
        self.head_folder: Path = self.folder.head if head is None else _path(head)
        self.models = Models(choose_device(device), detector, clip)
        self._pixels = Lock()  # one video at a time goes through the models

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies, and those in other processes, open the run anew."""
        return _opened, (self.path, self.head_folder, self.models)

    def __repr__(self) -> str:
        return f"aadc.open_run({str(self.folder.path)!r})"

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @cached_property
    def manifest(self) -> Manifest:
        """Rows and class card, as they were at the extraction."""
        return self.folder.manifest()

    @cached_property
    def shards(self) -> ShardSet:
        """All features on disk; `features` reads one video's."""
        return ShardSet(self.folder.shards)

    @property
    def videos(self) -> list[str]:
        """Names of the videos that have features, in the manifest's order."""
        return list(self._rows)

    @property
    def classes(self) -> list[str]:
        """Names of the classes that the head tells apart, in the order of `Answer.classes`."""
        return self.head.card.names

    @cached_property
    def head(self) -> LoadedHead:
        """The trained head, its model in `eval` mode on the device. `UserError` if none is trained."""
        loaded = load_head(self.head_folder)
        loaded.model.to(self.models.device)
        return loaded

    @cached_property
    def _scorer(self) -> VideoScorer:
        return VideoScorer(self.folder, self.head, THRESHOLD, self.models)

    def features(self, video: AnyPath) -> VideoFeatures:
        """What extraction kept of a video of the manifest: `scene` float16 (T, C), `detr` (T, D), `crop` (T, N, C), `box`
        (T, N, 4) cx cy w h relative, `frame` int32 (T,), `time` float64 (T,) seconds, and the facts of its file.

        Raises:
            UserError: it is not in the shards.
        """
        if (row := self._rows.get(os.fspath(video))) is None:
            some = ", ".join(self.videos[:3])
            raise UserError(f"{video}: not a video of {self.path} with features; there are {len(self._rows)}: {some} …")
        return self.shards.read(row.key)

    def score(self, video: AnyPath, threshold: float = THRESHOLD) -> Answer:
        """Scores, spans and classes of a video of the manifest (from its features), or of any file (from its pixels).

        Args:
            threshold: score from which a span counts as anomalous.
        Raises:
            UserError: neither, or the file cannot be used; or the features are not those the head was trained on; or a
                threshold that is no score.
        """
        if not 0 <= threshold <= 1:
            raise UserError(f"threshold {threshold}: scores are from 0 to 1, and so is what they are compared with")
        if row := self._rows.get(os.fspath(video)):
            scored = score_split(self.head, self.shards, [row], threshold, manifest=self.folder.manifest_csv)[row.key]
        elif os.path.isfile(video):
            scored = self._from_pixels(_path(video), threshold)
        else:
            raise UserError(f"{video}: neither a video of {self.folder.manifest_csv} that is in the shards, nor a file")
        category, share = most_like(scored, self.head)
        time = scored.features.time
        return Answer(
            str(video),
            scored.spans,
            time,
            scored.snippets.anomaly,
            scored.snippets.classes,
            self.head.card.names,
            float(scored.probability or 0.0),
            category,
            share,
        )

    def figures(self, split: str = "test", *, map: bool = True) -> dict[str, Any]:
        """All figures of a split, shares of 1, as `metrics.json` has them: `["frame"]["auc"]`, `["frame"]["ap"]`,
        `["map"]["published"]["mean"]`, `["interval"]` … None where one is undefined. `map`: mAP@IoU, too.

        Raises:
            UserError: there is no such split, or no video of it is in the shards.
        """
        if split not in ("test", "train"):
            raise UserError(f"split {split}: there are test and train")
        rows = self.manifest.split(split)
        return evaluate(scored_rows(self.folder, self.head, self.models.device, rows), map)

    def find(self, words: str, top: int = 10) -> list[Moment]:
        """The moments that CLIP finds most like the words, best first. Needs no head.

        Raises:
            UserError: no words, or more than CLIP reads, or CLIP is not where it was; or `top` is less than one.
        """
        if top < 1:
            raise UserError(f"top {top}: give one or more")
        return best_moments(self.shards, self._tower, words, top)

    @cached_property
    def _tower(self) -> Clip:
        return load_tower(self.shards.models["clip"], self.models.clip)

    @cached_property
    def _rows(self) -> dict[str, Row]:
        return {row.video: row for row in self.manifest.rows if row.key in self.shards.entries}

    def _from_pixels(self, path: Path, threshold: float) -> Scored:
        try:
            with self._pixels, self._scorer.decoder:
                self._scorer.threshold = threshold
                return self._scorer(path)
        except VideoError as error:
            raise UserError(f"{path}: {error.reason}: {error}") from None


def _opened(path: Path, head: Path, models: Models) -> Run:
    return Run(path, head=head, device=models.device, detector=models.detector, clip=models.clip)


def _path(given: AnyPath) -> Path:
    """An empty name would mean the current folder."""
    if not os.fspath(given):
        raise UserError("a path is empty")
    return Path(given)


def open_run(
    path: AnyPath,
    *,
    head: AnyPath | None = None,
    device: str = "auto",
    detector: str | None = None,
    clip: str | None = None,
) -> Run:
    """A run that `aadc-extract` made, with whatever was trained on it.

    Example:
        >>> run = aadc.open_run("runs/demo")
        >>> run.score("test-000.mp4").spans

    Args:
        path: the run folder.
        head: folder of another head than the run's own.
        device: auto, cpu, cuda, cuda:1 …
        detector, clip: where the frozen models are now, if they have moved.
    Raises:
        UserError: no run folder.
    """
    return Run(path, head=head, device=device, detector=detector, clip=clip)


def extract(
    manifest: AnyPath,
    *,
    videos: AnyPath | None = None,
    run: AnyPath | None = None,
    models: str = "paper",
    device: str = "auto",
    workers: int = 1,
    strict: bool = False,
    again: str | Sequence[str] = (),
    **settings: Any,
) -> Run:
    """`aadc-extract`: detect, crop and embed the videos of a manifest; goes on where an earlier call was stopped.

    Args:
        manifest: the CSV; its class card lies beside it.
        videos: folder that the manifest's paths count from.
        run: run folder; None for `runs/<manifest name>`.
        models: paper (DETR-R50 and CLIP ViT-B/16) or miniature.
        again: videos to extract anew though they are done; `changed`: all whose files changed.
        settings: other fields of `ExtractSettings`: detector, clip, stride, boxes, threshold, gate, precision, reader.
    Raises:
        UserError: nothing could start, or a setting that cannot be. Rejected videos are in `rejected.csv` of the run.
    """
    try:
        chosen = settings_of(models, **settings)
    except ValidationError as error:
        raise UserError(problems_of(error)) from None
    root, folder = (None if path is None else _path(path) for path in (videos, run))
    again = [again] if isinstance(again, str) else again
    made, _ = extract_manifest(_path(manifest), root, folder, chosen, device, workers, strict=strict, again=again)
    return Run(made.path, device=device)


def train(
    run: Run | AnyPath,
    *,
    out: AnyPath | None = None,
    clip: str | None = None,
    device: str = "auto",
    restart: bool = False,
    **settings: Any,
) -> Run:
    """`aadc-train-head`: train a head on the features of a run; goes on where an earlier call was stopped.

    Args:
        run: the run or its folder.
        out: folder of the head; None for `head/` in the run.
        clip: where the CLIP of the features is now, if it has moved.
        restart: begin anew; replaces a finished head once the new one is done.
        settings: fields of `HeadConfig`: epochs, seed, k, gamma, lr, n_ctx …
    Returns:
        The run with this head.
    Raises:
        UserError: as `aadc-train-head` says it.
    """
    opened = run if isinstance(run, Run) else Run(run, device=device)
    try:
        config = HeadConfig(**settings)
    except ValidationError as error:
        raise UserError(problems_of(error)) from None
    folder = None if out is None else _path(out)
    with opened.folder.lock(), lock_of(folder):
        trained = train_head(opened.folder, config, folder, clip or opened.models.clip, choose_device(device), restart)
    models = opened.models
    return Run(opened.path, head=trained.folder, device=models.device, detector=models.detector, clip=models.clip)
