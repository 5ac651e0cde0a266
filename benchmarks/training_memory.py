"""How much memory a training takes on a set as large as UCF-Crime, part by part: 1,610 videos, 512 numbers a snippet.

    python benchmarks/training_memory.py FOLDER                  # FOLDER is made once (2.5 GB), by aadc-import, and used again
    python benchmarks/training_memory.py FOLDER --disk           # features mapped from a file, not kept in memory
    python benchmarks/training_memory.py FOLDER --videos 190     # fewer videos, to see that it works

Features are random, lengths those of `import.py`, CLIP is a ViT-B/16 with random weights. Ends after some steps: later ones
take no more. Told is what the system counts of the process (Linux): at most so far, now, and of that what is its own.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from aadc.extract.run_folder import RunFolder
from aadc.head import row_store
from aadc.head import train as training
from aadc.head.config import HeadConfig
from aadc.head.trainer import Trainer
from aadc.manifests.manifest import write_manifest
from aadc.manifests.official import shipped

MODEL = "ViT-B-16-quickgelu"
BEGAN = time.monotonic()


def make(folder: Path, videos: int | None) -> None:
    """A run of made-up features, and a CLIP folder."""
    import open_clip
    from safetensors.torch import save_file

    imported = importlib.import_module("import")
    listed = shipped("ucf")
    rows = listed.rows if videos is None else listed.rows[:: max(1, len(listed.rows) // videos)]
    (folder / "clip").mkdir(parents=True)
    write_manifest(rows, listed.card, folder / "ucf.csv")
    imported.make(folder / "features", rows)
    model = open_clip.create_model(MODEL)
    config = {"model_cfg": open_clip.get_model_config(MODEL), "preprocess_cfg": {}}
    (folder / "clip" / "open_clip_config.json").write_text(json.dumps(config))
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "clip" / "open_clip_model.safetensors")
    words = [folder / "features", folder / "ucf.csv", "--run", folder / "run", "--clip", folder / "clip"]
    subprocess.run([sys.executable, "-c", imported.PROGRAM, *map(str, words)], check=True)


def tell(part: str) -> None:
    """A line of what the process takes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    size = {words[0]: int(words[1]) // 1024 for words in lines if words and words[0] in ("VmHWM:", "VmRSS:", "RssAnon:")}
    print(
        f"{time.monotonic() - BEGAN:6.0f} s  {part:20} {size['VmHWM:']:5} MB at most, {size['VmRSS:']:5} now, "
        f"{size['RssAnon:']:5} its own",
        flush=True,
    )


def told(owner: object, name: str, part: str) -> None:
    """Have this function followed by a line."""
    plain: Callable = getattr(owner, name)

    def following(*words: object, **options: object) -> object:
        found = plain(*words, **options)
        tell(part)
        return found

    setattr(owner, name, following)


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--disk", action="store_true")
    parser.add_argument("--videos", type=int)
    parser.add_argument("--steps", type=int, default=4)
    given = parser.parse_args()
    if not (given.folder / "run").is_dir():
        make(given.folder, given.videos)
        os.execv(sys.executable, [sys.executable, *sys.argv])  # a process that has made nothing
    if given.disk:
        row_store.IN_MEMORY = 0
    tell("imports")
    for name, part in {
        "load_bags": "features read", "load_tower": "CLIP's text half", "set_statistics": "their moments",
    }.items():  # fmt: skip
        told(training, name, part)
    told(Trainer, "validate", "untrained, validated")
    step = Trainer.step

    def counted(self: Trainer, number: int, bags: list) -> dict[str, float]:
        if number >= given.steps:
            sys.exit()
        losses = step(self, number, bags)
        tell(f"step {number + 1}")
        return losses

    Trainer.step = counted  # type: ignore[method-assign, assignment]
    training.train_head(RunFolder(given.folder / "run"), HeadConfig(), given.folder / "head", restart=True)


if __name__ == "__main__":
    main()
