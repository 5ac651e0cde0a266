"""What the commands share (the head, the describer), and what `aadc-ask` and `aadc-find` do; for the others see
`split_command`, `score_command` and `table_command`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from aadc.eval import scores
from aadc.eval.made_with import Choice
from aadc.eval.moments import best_moments, moments_table, write_moments
from aadc.eval.open_vocabulary import score_against
from aadc.eval.out_folder import writing_to
from aadc.extract.caution import caution
from aadc.extract.devices import choose_device
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head.checkpoint import LoadedHead, load_head
from aadc.head.class_vectors import refuse_without_words
from aadc.head.text_tower import load_tower
from aadc.head.window import AHEAD, Window, check_window
from aadc.manifests.card import read_card
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say

if TYPE_CHECKING:
    from aadc.eval.describe.commands import LlmOptions
    from aadc.eval.describe.videos import Describer
    from aadc.eval.video import Models

STDERR = Console(stderr=True)
KEPT = 100  # moments in found.csv, at least
OpenDescriber = Callable[[Mapping[str, str]], "Describer"]  # from the detector's class names; opens the language model


def load(run: RunFolder, choice: Choice, clip: str | None, device: str) -> LoadedHead:
    """The run's own head or the one named, on its device, scoring against its own classes or those of a card."""
    device = choose_device(device)
    loaded = load_head(choice.head_of(run))
    loaded.model.to(device)
    loaded = replace(loaded, window=window_of(choice, loaded))
    if choice.classes is None:
        return loaded
    refuse_without_words(loaded.config)
    made_with = {"source": loaded.clip, "weights": loaded.clip_weights}
    return score_against(loaded, read_card(choice.classes), load_tower(made_with, clip), device)


def window_of(choice: Choice, head: LoadedHead) -> Window | None:
    """By what each snippet is scored: the window that was asked for, else the head's own; None: the whole video.

    Raises:
        UserError: a window that does not hold the snippet it scores, or a look-ahead where there is none.
    """
    rows = head.config.window if choice.window is None else choice.window
    if rows == 0:
        if choice.ahead != AHEAD:
            raise UserError("--ahead is of a window, and there is none: the whole video is seen; give --window, say 256")
        return None
    try:
        return check_window(rows, choice.ahead)
    except ValueError as error:
        raise UserError(f"--window {rows} --ahead {choice.ahead}: {error}") from None


def say_caution(shards: ShardSet, source: str = "") -> str | None:
    """Say, and give, the sentence about miniature models where one is due. `source`: of the data set, as its card says."""
    found = caution(shards.models, source)
    if found:
        say(found)
    return found


def describer_opener(run: RunFolder, choice: Choice, head: LoadedHead, options: "LlmOptions", device: str) -> OpenDescriber:
    """What opens the language model, with the describer trained beside the head. It is called last, once all that needs no
    language model is done and has not failed."""
    from aadc.eval.describe.commands import open_describer

    return lambda names: open_describer(head, choice.head_of(run), names, options, device)


def detector_names(shards: ShardSet) -> Mapping[str, str]:
    """The detector's classes by id (as text), as the run's shards have them."""
    return shards.models.get("detector", {}).get("class_names", {})


def answer(
    run: RunFolder,
    head: LoadedHead,
    choice: Choice,
    open_describer: OpenDescriber,
    question: str,
    video: Path,
    models: "Models",
) -> None:
    """Answer a question about a video of the manifest, else a file."""
    from aadc.eval.describe.commands import ask

    shards, manifest = ShardSet(run.shards), run.manifest()
    row = next((row for row in manifest.rows if row.video == str(video) and row.key in shards.entries), None)
    say_caution(shards, manifest.card.source if row else "")
    if row is not None:
        scored = scores.score_split(head, shards, [row], choice.threshold, manifest=run.manifest_csv)[row.key]
    elif video.is_file():
        from aadc.eval.video import VideoScorer
        from aadc.extract.decode import VideoError

        scorer = VideoScorer(run, head, choice.threshold, models)
        try:
            with scorer.decoder:
                scored = scorer(video)
        except VideoError as error:
            raise UserError(f"{video}: {error.reason}: {error}") from None
    else:
        raise UserError(f"{video}: neither a video of {run.manifest_csv} that is in the shards, nor a file")
    ask(open_describer(detector_names(shards)), question, scored, run)


def find(run: RunFolder, words: str, top: int, clip: str | None, out: Path | None) -> None:
    """Print the `top` moments of a run that look most like the words; keep them and more in `found.csv`, in `out` or the run's
    eval/."""
    shards = ShardSet(run.shards)
    say_caution(shards, run.manifest().card.source)
    with writing_to(out or run.eval) as folder:
        with STDERR.status("loading CLIP"):
            tower = load_tower(shards.models["clip"], clip)
        with Progress(console=STDERR, transient=True) as bar:
            task = bar.add_task("looking", total=len(shards.keys))
            moments = best_moments(shards, tower, words, max(top, KEPT), tell=lambda: bar.advance(task))
        path = folder / "found.csv"
        write_moments(moments, path)
    Console().print(moments_table(moments[:top], words))
    say(f"{len(moments)} moments: {path}")
