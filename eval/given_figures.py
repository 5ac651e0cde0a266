"""Figures of any method's scores: what `aadc-metrics` prints and `aadc.metrics` gives to a notebook."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from aadc.eval.bootstrap import Difference, paired
from aadc.eval.evaluate import evaluate as evaluate_split
from aadc.eval.evaluate import fewest_videos, rankings_of, resampled
from aadc.eval.field_protocols import field_protocol
from aadc.eval.given_split import GivenSplit, given_split
from aadc.eval.order_list import split_vector
from aadc.eval.read_scores import FORMS, GivenScores, read_scores, scores_of
from aadc.eval.span_lists import which_spans
from aadc.eval.video_names import NamedRows
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, read_manifest
from aadc.manifests.official import shipped

AnyPath = str | PathLike[str]
AnyScores = AnyPath | Mapping[str, Any] | GivenScores
FPS, MOST_FPS = 30.0, 10_000


@dataclass(frozen=True)
class Figures:
    """All figures of a set of scores under one protocol, shares of 1, as `metrics.json` has them; None where undefined.

    `figures["frame"]["auc"]` reads one. `name` is what a row of a table calls the scores, `about` the sentences on protocol,
    spans and lengths, `notes` what else there is to know.
    """

    name: str
    record: dict[str, Any]
    about: tuple[str, ...]
    notes: tuple[str, ...]
    split: GivenSplit

    def __getitem__(self, name: str) -> Any:
        return self.record[name]

    def __repr__(self) -> str:
        frame = self.record["frame"] or {"auc": None, "ap": None}
        shares = ", ".join(f"{name} {'-' if frame[name] is None else f'{frame[name]:.4f}'}" for name in ("auc", "ap"))
        return f"<figures of {self.name}, protocol {self.split.protocol.name}: frame {shares}>"

    @cached_property
    def _common(self) -> set[str]:
        return {row.key for row in self.split.there}

    def against(self, other: "Figures") -> dict[str, Difference]:
        """This minus the other, figure by figure, over the videos that both have: differences with paired intervals.

        Raises:
            UserError: other truth or another protocol, or no video that both have.
        """
        one, two = self.split, other.split
        if one.protocol.name != two.protocol.name or one.rows != two.rows:
            raise UserError("figures of two protocols or of two manifests do not compare; compute both in one way")
        both = [row.key for row in one.there if row.key in other._common]
        if not both:
            raise UserError("the two sets of scores have no video in common")
        first, second = (_only(split, both) for split in (one, two))
        if [video.truth is None for video in first.videos] != [video.truth is None for video in second.videos]:
            raise UserError("the two sets of scores differ in which videos have frame truth")
        with_map = bool(one.class_scores and two.class_scores)
        functions = [resampled(split, rankings_of(split) if with_map else {}) for split in (first, second)]
        return paired(functions[0], functions[1], len(both), fewest_videos(first))


def _only(split: GivenSplit, keys: list[str]) -> GivenSplit:
    kept = {key: split.curves[key] for key in keys}
    return replace(split, rows=[row for row in split.rows if row.key in kept], curves=kept)


def evaluate(
    scores: AnyScores,
    manifest: AnyPath | Manifest,
    protocol: str = "ours",
    *,
    classes: AnyScores | None = None,
    order: AnyPath | None = None,
    fps: float = FPS,
    name: str | None = None,
) -> Figures:
    """All figures of any method's scores on the test videos of a manifest.

    Example:
        >>> aadc.metrics.evaluate("vadclip-scores.npz", "ucf", "vadclip")["frame"]["auc"]

    Args:
        scores: a file or folder (see `read_scores.FORMS`), or arrays by name: (T,) or (10, T), one score for each snippet of 16
            frames or for each frame.
        manifest: a manifest, its file, or `ucf` or `xd` for those that come with the project.
        protocol: how frames and areas are counted: ours, vadclip, rtfm, xdviodet or lavad.
        classes: class scores (T, C) in the order of the class card, for mAP@IoU; a scores.h5 has its own.
        order: for one long vector, the list that says how the videos stand in it.
        fps: frames a second that hours and delays are counted with.
        name: what a row of a table calls these scores; None for their file's name.
    Raises:
        UserError: what cannot be read, joined by name, or fits no rule of lengths; each says which video.
    """
    if not 0 < fps <= MOST_FPS:
        raise UserError(f"fps {fps:g}: give a number of frames a second above 0, at most {MOST_FPS:,}")
    rules = field_protocol(protocol)
    truth = manifest if isinstance(manifest, Manifest) else open_manifest(Path(manifest))
    given = _given(scores)
    if order is not None:
        given = split_vector(given, Path(order), truth)
    elif given.vector is not None and len(given.arrays) == 1 and not _named(given, truth):
        raise UserError(f"{given.path}: one long row of scores; give the list of its videos with --order, or give {FORMS}")
    of_classes = _given(classes) if classes is not None else given if given.classes else None
    split, notes = given_split(given, truth, rules, fps, of_classes)
    record = evaluate_split(split, with_map=True)
    about = (
        f"protocol {rules.name}: {rules.told}",
        which_spans(truth),
        f"scores: one {'a frame' if split.reading.by_frame else 'for 16 frames'} ({split.reading.rule}){_crops(split)}",
        f"hours and delays: at {fps:g} frames a second; --fps says another rate",
    )
    return Figures(name or given.path.name.removesuffix(given.path.suffix), record, about, tuple(notes), split)


def _crops(split: GivenSplit) -> str:
    return f", the mean of {' or '.join(map(str, split.crops))} crops in one array" if split.crops else ""


def _given(scores: AnyScores) -> GivenScores:
    if isinstance(scores, GivenScores):
        return scores
    if isinstance(scores, Mapping):
        return scores_of(scores)
    return read_scores(Path(scores))


def _named(given: GivenScores, manifest: Manifest) -> bool:
    """Whether a single array is that of one test video, by its name."""
    return NamedRows(manifest.split("test")).find(next(iter(given.arrays))) is not None


def open_manifest(path: Path) -> Manifest:
    """A manifest, or one of those that come with the project where there is no such file."""
    if str(path) in ("ucf", "xd") and not path.exists():
        built = shipped(str(path))
        return Manifest(Path(f"{path}.csv"), built.card, tuple(built.rows))
    return read_manifest(path)
