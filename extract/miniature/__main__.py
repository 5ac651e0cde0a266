"""`python -m aadc.extract.miniature detr | clip | measure`: train the miniature models, print what they are worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aadc.manifests.command import run_command

if TYPE_CHECKING:
    from aadc.extract.miniature.pool import Pool

HERE = Path(__file__).parent
TRAIN_SCENES, MEASURE_SCENES = range(2000), range(150)

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)
Work = Annotated[Path, typer.Option(help="Folder for pictures and the states of training; may be deleted afterwards.")]
Threads = Annotated[int, typer.Option(min=1, help="Processor cores to use.")]


@app.command(epilog="Example: python -m aadc.extract.miniature detr")
def detr(
    steps: Annotated[int, typer.Option(min=1, help="Steps of 16 pictures.")] = 5000,
    seed: int = 0,
    out: Annotated[Path, typer.Option(help="Folder of the finished model.")] = HERE / "detr",
    work: Work = Path("runs/miniature"),
    threads: Threads = 2,
) -> None:
    """Train the detector; started again, it goes on where it was stopped."""
    from aadc.extract.miniature.detr import train

    _use(threads)
    train(_pool(work, "train"), work / "detr", out, steps, seed, typer.echo)
    typer.echo(f"written: {out}; next: python -m aadc.extract.miniature measure")


@app.command(epilog="Example: python -m aadc.extract.miniature clip")
def clip(
    steps: Annotated[int, typer.Option(min=1, help="Steps of 128 pictures with captions.")] = 1800,
    seed: int = 0,
    out: Annotated[Path, typer.Option(help="Folder of the finished model.")] = HERE / "clip",
    work: Work = Path("runs/miniature"),
    threads: Threads = 2,
) -> None:
    """Train CLIP; started again, it goes on where it was stopped."""
    from aadc.extract.miniature.clip import train

    _use(threads)
    train(_pool(work, "train"), work / "clip", out, steps, seed, typer.echo)
    typer.echo(f"written: {out}; next: python -m aadc.extract.miniature measure")


@app.command(epilog="Example: python -m aadc.extract.miniature measure")
def measure(
    detr: Annotated[Path, typer.Option(help="Folder of the detector.")] = HERE / "detr",
    clip: Annotated[Path, typer.Option(help="Folder of the CLIP.")] = HERE / "clip",
    work: Work = Path("runs/miniature"),
    threads: Threads = 2,
) -> None:
    """Print the figures of both models on scenes neither was trained on."""
    from aadc.extract.miniature.measure import measure_clip, measure_detector

    _use(threads)
    pool = _pool(work, "measure")
    for name, figures in measure_detector(detr, pool).items():
        typer.echo(
            f"DETR, {name}: AP50 {figures.ap50:.3f}; at confidence 0.5: recall {figures.recall:.3f}, "
            f"precision {figures.precision:.3f}"
        )
    said = measure_clip(clip, pool)
    typer.echo(
        f"CLIP, crop to kind, zero-shot top-1 among {len(said.of_kind)}: {said.prompts:.3f} by the card's prompts "
        f"(mean over kinds {said.mean_over_kinds:.3f}); by paraphrases "
        + ", ".join(f"{figure:.3f}" for figure in said.paraphrases)
    )
    for kind, right in said.of_kind.items():
        typer.echo(f"  {kind:15s} {right:.3f}")
    typer.echo(f"{len(pool)} frames, {len(pool.box)} crops")


def _use(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _pool(work: Path, which: str) -> "Pool":
    """The pictures to train on or to measure with, rendered when they are not there yet."""
    import sys

    from aadc.extract.miniature.pool import make_pool, open_pool

    work.mkdir(parents=True, exist_ok=True)
    path, seeds = work / f"{which}.h5", TRAIN_SCENES if which == "train" else MEASURE_SCENES

    def say(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            print(f"scenes: {done}/{total}", file=sys.stderr)

    make_pool(path, f"miniature-{which}", seeds, say)
    return open_pool(path)


if __name__ == "__main__":
    run_command(app, "python -m aadc.extract.miniature")
