"""From pixels to answer: one video through extraction and head, with a curve, spans and JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from aadc.eval.plot import plot_scores
from aadc.eval.scores import Scored, score_features
from aadc.extract.decode import VideoFacts
from aadc.extract.decode_child import DecodeChild
from aadc.extract.features import FrameEmbedder
from aadc.extract.run_folder import RunFolder
from aadc.extract.settings import ExtractSettings
from aadc.extract.shards import VideoFeatures
from aadc.extract.video import video_features
from aadc.head.checkpoint import LoadedHead
from aadc.manifests.errors import UserError
from aadc.manifests.records import problems_of
from aadc.manifests.video_suffixes import is_video_name, passed_over


def list_videos(given: list[Path]) -> list[Path]:
    """The files named, and all videos below the folders named. `UserError` if one is not there or a folder has none."""
    found = []
    for path in given:
        if path.is_dir():
            inside = sorted(child for child in path.rglob("*") if is_video_name(child.name))
            if not inside:
                raise UserError(f"{path}: no videos in this folder ({passed_over(path) or 'nothing at all'})")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path}: no such video")
    return found


def answer_folders(paths: list[Path], below: Path) -> list[Path]:
    """A folder for each video's answer, named for the video; equal names get a number."""
    seen: dict[str, int] = {}
    folders = []
    for path in paths:
        name = path.name
        seen[name] = seen.get(name, 0) + 1
        folders.append(below / (name if seen[name] == 1 else f"{name} ({seen[name]})"))
    return folders


class VideoScorer:
    """A trained run, ready for videos of no manifest: its own models and sampling, its own head.

    Raises:
        UserError: the models are not there, or are not those the head was trained with.
    """

    def __init__(self, run: RunFolder, head: LoadedHead, device: str, threshold: float):
        self.head, self.threshold = head, threshold
        try:
            settings = ExtractSettings.model_validate(run.record().settings)
        except ValidationError as error:
            raise UserError(f"{run.run_json}: settings: {problems_of(error)}; run aadc-extract again") from None
        self.embedder = FrameEmbedder(settings, device)
        if self.embedder.header.fingerprint != head.fingerprint:
            raise UserError(
                f"{run.path}: its models and settings now have fingerprint {self.embedder.header.fingerprint}, the head was "
                f"trained on {head.fingerprint}; extract and train again"
            )
        self.decoder = DecodeChild()

    def __call__(self, path: Path) -> Scored:
        """Score one video. `VideoError` if it cannot be used."""
        features = video_features(path, self.embedder, self.decoder)
        return score_features(self.head, features, self.embedder.settings.stride, self.threshold)


def cut_off(features: VideoFeatures) -> bool:
    """Whether clearly less of the video could be decoded than its header promises."""
    facts = VideoFacts(
        features.width, features.height, features.fps, features.rotation, features.frames_expected, features.frames
    )
    return facts.truncated


def write_answer(scored: Scored, threshold: float, folder: Path, description: dict[str, str] | None = None) -> None:
    """`scores.png` and `scores.json` of one video in `folder`, with its description (`text` and `how`) if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    features, snippets = scored.features, scored.snippets
    plot_scores(features.time, snippets.anomaly, scored.spans, threshold, features.video, folder / "scores.png")
    answer = {
        "video": features.video,
        "sha256": features.sha256,
        "frames": features.frames,
        "frames_expected": features.frames_expected,
        "fps": features.fps,
        "threshold": threshold,
        "description": description,
        "spans": [{**asdict(span), "text": str(span)} for span in scored.spans],
        "time_s": features.time.round(3).tolist(),
        "score": [round(float(value), 4) for value in snippets.anomaly],
    }
    (folder / "scores.json").write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
