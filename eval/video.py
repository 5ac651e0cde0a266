"""From pixels to answer: one video through extraction and head, with a curve, spans and JSON."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from aadc.eval.out_folder import writing_to
from aadc.eval.plot import plot_scores
from aadc.eval.scores import Scored, score_features
from aadc.extract.decode_child import DecodeChild
from aadc.extract.features import FrameEmbedder
from aadc.extract.run_folder import RunFolder
from aadc.extract.settings import ExtractSettings
from aadc.extract.video import video_features
from aadc.head.checkpoint import LoadedHead
from aadc.manifests.errors import UserError
from aadc.manifests.files import replace_file
from aadc.manifests.records import problems_of
from aadc.manifests.shown import shown
from aadc.manifests.video_suffixes import is_video_name, passed_over


@dataclass(frozen=True)
class Models:
    """Where the frozen models of a run are now, None for where they were when it was extracted, and the device for all."""

    device: str = "cpu"
    detector: str | None = None
    clip: str | None = None


def list_videos(given: list[Path]) -> list[Path]:
    """The files named, and all videos below the folders named, each once. `UserError` if one is not there or a folder has
    none."""
    found: dict[str, Path] = {}
    for path in given:
        if path.is_dir():
            inside = sorted(child for child in path.rglob("*") if is_video_name(child.name))
            if not inside:
                raise UserError(f"{path}: no videos in this folder ({passed_over(path) or 'nothing at all'})")
            found |= {os.path.abspath(child): child for child in inside if os.path.abspath(child) not in found}
        elif path.exists():
            found.setdefault(os.path.abspath(path), path)
        else:
            raise UserError(f"{path}: no such video")
    return list(found.values())


def answer_folder(path: Path, below: Path) -> Path:
    """The folder for a video's answer: its name, made fit to be shown, and a few digits of its whole path, so that two videos
    of one name never meet, be it in one command or in two."""
    digits = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:8]
    name = shown(path.name).encode()[:200].decode(errors="ignore")
    return below / f"{name}-{digits}"


class VideoScorer:
    """A trained run, ready for videos of no manifest: its own models and sampling, its own head.

    Raises:
        UserError: the models are not there, or are not those the head was trained with.
    """

    def __init__(self, run: RunFolder, head: LoadedHead, threshold: float, models: Models):
        self.head, self.threshold = head, threshold
        self.embedder = open_models(run, models)
        if self.embedder.header.fingerprint != head.fingerprint:
            raise UserError(
                f"{run.path}: its models and settings now have fingerprint {self.embedder.header.fingerprint}, the "
                f"head was trained on {head.fingerprint}; give its own models by --detector and --clip, or extract and "
                "train again"
            )
        self.decoder = DecodeChild()

    def __call__(self, path: Path) -> Scored:
        """Score one video. `VideoError` if it cannot be used."""
        features = video_features(path, self.embedder, self.decoder)
        return score_features(self.head, features, self.embedder.settings.stride, self.threshold)


def open_models(run: RunFolder, models: Models) -> FrameEmbedder:
    """The frozen models with the run's settings, from where they were or from where they are said to be now.

    Raises:
        UserError: the run has no settings, or a model is not there.
    """
    if "imported" in run.record().models:
        raise UserError(
            f"{run.path}: its features were imported, and nothing here makes such ones of a video; aadc-extract makes a run "
            "that can be asked about videos"
        )
    try:
        settings = ExtractSettings.model_validate(run.record().settings)
    except ValidationError as error:
        raise UserError(f"{run.run_json}: settings: {problems_of(error)}; run aadc-extract again") from None
    places = {name: place for name in ("detector", "clip") if (place := getattr(models, name)) is not None}
    return FrameEmbedder(settings.model_copy(update=places), models.device)


def write_answer(
    scored: Scored,
    threshold: float,
    folder: Path,
    description: Mapping[str, str] | None = None,
    made_with: Mapping | None = None,
    caution: str | None = None,
) -> None:
    """`scores.png` and `scores.json` of one video in `folder`, with its description (`text` and `how`) if there is one, what
    the scores were made with, and the caution about miniature models.

    Raises:
        UserError: they cannot be written, or another process writes the same video's.
    """
    features, snippets = scored.features, scored.snippets
    answer = {
        "video": shown(features.video),
        "sha256": features.sha256,
        "frames": features.frames,
        "frames_expected": features.frames_expected,
        "fps": features.fps,
        "threshold": threshold,
        "caution": caution,
        "probability": scored.probability,
        "description": description,
        "spans": [{**asdict(span), "text": str(span)} for span in scored.spans],
        "time_s": features.time.round(3).tolist(),
        "score": [round(float(value), 4) for value in snippets.anomaly],
        "made_with": made_with or {},
    }
    with writing_to(folder):
        plot_scores(features.time, snippets.anomaly, scored.spans, threshold, features.video, folder / "scores.png", caution)
        replace_file(folder / "scores.json", json.dumps(answer, indent=1, ensure_ascii=False) + "\n")


def most_like(scored: Scored, head: LoadedHead) -> tuple[str, float | None]:
    """The class of a whole video and its share among those of its kind (None: there is no other): that of the span with the
    highest score; where there is no span, the likeliest normal class (eq. 10)."""
    if scored.spans:
        span = max(scored.spans, key=lambda one: one.peak)
        return span.category, span.share
    normal = [place for place, name in enumerate(head.card.names) if head.card.kind(name) == "normal"]
    likely = scored.snippets.video.classes[normal]
    best = int(likely.argmax())
    return head.card.names[normal[best]], float(likely[best] / max(likely.sum(), 1e-12)) if len(normal) > 1 else None
