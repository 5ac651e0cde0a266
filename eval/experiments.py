"""The paper's experiments (Tables V to IX): heads of several settings and seeds, trained from shards, and their figures.

runs/x/heads/<setting>/seed-0/ …   A head that was trained to the end with the same settings is not trained again, whichever
table asked for it: the default settings are a row of three.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aadc.eval.evaluate import category_accuracies
from aadc.eval.made_with import THRESHOLD
from aadc.eval.metrics import frame_figures, video_figures
from aadc.eval.open_vocabulary import score_against
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.scores import score_split
from aadc.extract.clip_model import Clip
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head.checkpoint import LoadedHead, load_head
from aadc.head.config import HeadConfig
from aadc.head.train import train_head
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row
from aadc.manifests.processes import side_by_side

MOST_AT_ONCE = 4
MOST_BYTES = 2**30  # of training features, a copy of which each training holds

FIGURES = ("frame AUC", "frame AP", "abnormal videos alone", "video AUC", "category, all classes", "category, kind known")

# Table V to VII: rows of the ablation, as in the paper.
ABLATION = {
    "CLIP alone": HeadConfig(use_detr=False, use_mtn=False),
    "with DETR": HeadConfig(use_detr=True, use_mtn=False),
    "with MTN": HeadConfig(use_detr=False, use_mtn=True),
    "with DETR and MTN": HeadConfig(use_detr=True, use_mtn=True),
}
# Table IX.
K_GAMMA = {f"K {k}, gamma {gamma:g}": HeadConfig(k=k, gamma=gamma) for k in (3, 5, 7) for gamma in (0.5, 1.0, 2.0)}
PLAIN = {"default": HeadConfig()}


@dataclass(frozen=True)
class Job:
    """One head to train: from which run, with which settings, into which folder."""

    run: Path
    config: HeadConfig
    out: Path
    clip: str | None
    device: str
    threads: int


def jobs_of(
    run: RunFolder, settings: Mapping[str, HeadConfig], seeds: int, clip: str | None, device: str
) -> dict[tuple[str, int], Job]:
    """A job for every setting and seed 0, 1 …, processor cores divided among those that run at once."""
    threads = max(1, (os.cpu_count() or 1) // at_once(run, len(settings) * seeds, device))
    return {
        (name, seed): Job(
            run.path,
            config.model_copy(update={"seed": seed}),
            run.path / "heads" / _folder_name(name, config) / f"seed-{seed}",
            clip,
            device,
            threads,
        )
        for name, config in settings.items()
        for seed in range(seeds)
    }


def _folder_name(setting: str, config: HeadConfig) -> str:
    same = next((name for name, plain in PLAIN.items() if plain == config), setting)
    return same.replace(",", "").replace(" ", "-")


def at_once(run: RunFolder, jobs: int, device: str) -> int:
    """How many trainings run side by side: one on a GPU, else as many as there are cores, `MOST_AT_ONCE` at most, and no more
    than have room for their features in `MOST_BYTES`: of a large set one alone."""
    if device != "cpu":
        return 1
    copies = MOST_BYTES // max(training_bytes(ShardSet(run.shards)), 1)
    return max(1, min(os.cpu_count() or 1, MOST_AT_ONCE, jobs, copies))


def training_bytes(shards: ShardSet, most_snippets: int = PLAIN["default"].snippets) -> int:
    """About what the features of the training videos take in memory: half precision, two vectors a snippet."""
    train = [key for key, entry in shards.entries.items() if entry.split == "train"]
    if not train:
        return 0
    first = shards.read(train[0], ("scene", "detr"))
    width = first.scene.shape[1] + first.detr.shape[1]
    return 2 * width * sum(min(shards.entries[key].snippets, most_snippets) for key in train)


def train_all(jobs: Sequence[Job], tell: Callable[[], None]) -> None:
    """Train what is not trained yet; `tell` is called after each. Killed and started again, it goes on."""
    workers = at_once(RunFolder(jobs[0].run), len(jobs), jobs[0].device)
    if workers == 1:
        for job in jobs:
            train(job)
            tell()
        return
    for _ in side_by_side(train, [(job,) for job in jobs], workers):
        tell()


def train(job: Job) -> None:
    """One head, in whichever process."""
    torch.set_num_threads(job.threads)
    train_head(RunFolder(job.run), job.config, job.out, job.clip, job.device)


def test_split(run: RunFolder, head: LoadedHead, device: str) -> ScoredSplit:
    """The test videos of a run as this head scores them, see `scored_rows`."""
    return scored_rows(run, head, device, run.manifest().split("test"))


def scored_rows(run: RunFolder, head: LoadedHead, device: str, rows: Sequence[Row]) -> ScoredSplit:
    """Videos of a run as this head scores them.

    Raises:
        UserError: other features than the head's, or none of the videos in the shards.
    """
    manifest, shards = run.manifest(), ShardSet(run.shards)
    head.model.to(device)
    scored = score_split(head, shards, rows, THRESHOLD, manifest=run.manifest_csv)
    if not scored:
        raise UserError(f"{run.shards}: no such video of the manifest is in the shards; figures need some test videos")
    return ScoredSplit(rows, scored, manifest.card, head.card, head.config.k, shards.sampling["stride"])


def figures_of(run: RunFolder, head_folder: Path, device: str, tower: Clip | None = None) -> dict[str, float | None]:
    """`FIGURES` (shares) of a head on the test split of a run; None where one is undefined.

    Args:
        tower: given for a data set that the head was not trained on, whose classes are then put in place of its own.
    """
    head = load_head(head_folder)
    if tower is not None:
        head = score_against(head, run.manifest().card, tower, "cpu")
    split = test_split(run, head, device)
    known = [split.videos[place] for place in split.known]
    frame = frame_figures(known) if known else {}
    video = video_figures(split.videos, split.k, split.stride)
    category = category_accuracies(split)
    accuracies = category["joint_accuracy"], category["accuracy"]
    shares = (frame.get("auc"), frame.get("ap"), frame.get("auc_abnormal_videos"), video["auc"], *accuracies)
    return dict(zip(FIGURES, shares, strict=True))
