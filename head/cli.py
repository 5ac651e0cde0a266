"""`aadc-train-head`: shards -> a trained head."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aadc.manifests.command import command_app, run_command
from aadc.manifests.shown import say

if TYPE_CHECKING:
    from aadc.head.train import Trained

app = command_app()

EXAMPLE = """\b
Examples:
  aadc-train-head
  aadc-train-head --seed 1 --set lr=1e-4 --set n_ctx=4 --out heads/slower

Exit status: 0 trained, 2 nothing could start, 130 interrupted."""


class Pooling(StrEnum):
    mean = "mean"
    attention = "attention"


@app.command(short_help="Shards -> a trained head.", epilog=EXAMPLE)
def train(
    run: Annotated[Path | None, typer.Option(help="Run folder [default: AADC_RUN, else the latest under runs/].")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most so many; validation ends it sooner.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights (CPU).")] = 0,
    k: Annotated[int, typer.Option(min=1, help="Snippets that stand for a video (K).")] = 5,
    gamma: Annotated[float, typer.Option(help="Sharpness of the class softmax: 0.5 smooths, 2 sharpens.")] = 1.0,
    pooling: Annotated[Pooling, typer.Option(help="How a frame's crops become one vector.")] = Pooling.mean,
    no_detr: Annotated[bool, typer.Option("--no-detr", help="Leave the detector's features out (ablation).")] = False,
    no_mtn: Annotated[bool, typer.Option("--no-mtn", help="Leave the temporal network out (ablation).")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting (may be repeated): docs/head.md lists them all."),
    ] = None,
    clip: Annotated[str | None, typer.Option(help="Where the CLIP of the shards is now: NAME/TAG or folder.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the head [default: head/ in the run].")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew; replaces a finished head once the new one is done.")
    ] = False,
) -> None:
    """Train anomaly scores and categories from video-level labels, on the shards of a run.

    Stop it whenever you like and start it again: it goes on where it was.
    """
    from pydantic import ValidationError

    from aadc.extract.caution import caution
    from aadc.extract.manifest_change import changes_since_extraction
    from aadc.extract.run_choice import choose_run, next_step
    from aadc.extract.shards import ShardSet
    from aadc.head.config import HeadConfig, settings_of
    from aadc.manifests.errors import UserError
    from aadc.manifests.records import problems_of

    folder = choose_run(run)
    try:
        given = {
            "epochs": epochs,
            "seed": seed,
            "k": k,
            "gamma": gamma,
            "pooling": pooling.value,
            "use_detr": not no_detr,
            "use_mtn": not no_mtn,
        }
        named, usual = settings_of(settings or []), HeadConfig()
        if twice := [key for key in named if key in given and given[key] != getattr(usual, key)]:
            raise UserError(f"--set {twice[0]}: {twice[0]} has an option of its own, which is given too: give one of them")
        config = HeadConfig.model_validate(given | named)
    except ValidationError as error:
        raise UserError(problems_of(error)) from None

    from aadc.extract.devices import choose_device
    from aadc.head.progress import TrainProgress
    from aadc.head.train import lock_of, train_head

    manifest = folder.manifest()
    if told := caution(ShardSet(folder.shards).models, manifest.card.source):
        say(told)
    if not ShardSet(folder.shards).has_detector:
        say("no detector's features in these shards: this is AADC-Net without DETR, as with --no-detr")
    if "clip" not in ShardSet(folder.shards).models:
        say("no CLIP's features: classes get learned vectors without words, so neither aadc-eval --classes nor aadc-find works")
    for note in changes_since_extraction(folder, manifest):
        say(f"note: {note}")
    with folder.lock(), lock_of(out), TrainProgress() as progress:
        trained = train_head(folder, config, out, clip, choose_device(device), restart, progress)
    _tell(trained, config.validation)
    command = "aadc-eval --metric auc" + (f" --head {shlex.quote(str(out))}" if out else "")
    say(f"next: {next_step(folder, command)}")


def _tell(trained: "Trained", share: float) -> None:
    from aadc.head.sampling import least_for_validation

    metrics = trained.metrics
    if trained.already:
        say("trained before with these settings on these videos; --restart would train it again")
    say(
        f"{metrics['videos']} videos trained on, {metrics['validation_videos']} kept for validation; "
        f"epoch {metrics['epoch']} of {metrics['epochs_run']} is kept"
    )
    if metrics["missing_videos"]:
        say(f"{metrics['missing_videos']} more train videos are in the manifest but not in the shards (see rejected.csv)")
    if metrics["validation_videos"]:
        say(f"validation: video AUC {metrics['val_auc']:.3f}, class right {metrics['val_hits']:.3f}")
    else:
        least = least_for_validation(share)
        say(
            f"too few videos for a validation split, so the last epoch is kept: it takes {least} normal and {least} abnormal "
            "videos, and of each kind two more than it has classes (a combination of labels is one of its own)"
        )
    say(f"head: {trained.folder}")


def main() -> None:
    """Console script."""
    run_command(app, "aadc-train-head")
