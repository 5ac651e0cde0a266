"""A manifest of one's own videos: from folders `class/clip.mp4`, or from a CSV that says each clip's split and label."""

import os
import random
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.manifest import Manifest, Row, Segment
from aadc.manifests.records import problems_of
from aadc.manifests.table import Problem, listing, read_table, refuse
from aadc.manifests.unpacked import ANOMALIES
from aadc.manifests.video_root import VideoRoot
from aadc.manifests.video_suffixes import VIDEO_SUFFIXES, is_video_name


class Clip(NamedTuple):
    """A video of the folder, its classes, and its split where somebody has settled it."""

    video: str
    labels: tuple[str, ...]
    split: str | None = None


def find_videos(root: Path) -> list[str]:
    """Paths, relative to `root` and sorted, of all videos below it; hidden ones (`._clip.mp4`) are passed over.

    Raises `UserError` that lists links to the outside and names that are not UTF-8: a manifest cannot hold them.
    """
    if not os.path.isdir(root):
        raise UserError(f"{root}: there is no such folder; give the one that holds a folder of clips for each class")
    videos: list[str] = []
    faults: list[str] = []
    inside = VideoRoot(root)

    def closed(error: OSError) -> None:
        """What os.walk would pass over: a folder that may not be read."""
        faults.append(f"{os.path.relpath(error.filename, root)}: the folder cannot be read ({reason(error)})")

    for folder, subfolders, files in os.walk(root, onerror=closed):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        links = [name for name in subfolders if os.path.islink(os.path.join(folder, name))]  # os.walk does not enter them
        clips = [name for name in files if is_video_name(name)]
        for name in links + clips:
            video = os.path.relpath(os.path.join(folder, name), root)
            try:
                video.encode()
                inside.path(video)
            except UnicodeEncodeError:
                faults.append(f"{os.fsencode(video)!r}: the name is not UTF-8; rename it")
            except UserError as error:
                faults.append(str(error))
            else:
                if name not in links:
                    videos.append(video)
    if faults:
        raise UserError(f"{root}: {len(faults)} of its videos cannot be used, nothing was written:{listing(faults)}")
    return sorted(videos)


def clips_of_folders(root: Path) -> list[Clip]:
    """Every video below `root`, its class being the first folder on its path. `UserError` for one that lies in none."""
    videos = find_videos(root)
    if not videos:
        known = f".mp4, .mkv, .avi; {len(VIDEO_SUFFIXES)} endings are known"
        raise UserError(f"{root}: no videos in it ({known}); it needs a folder of clips a class")
    if stray := [video for video in videos if "/" not in video]:
        raise UserError(
            f"{root}: {len(stray)} video(s) lie in no class folder, {stray[0]} for one; move them into a folder named for "
            "their class, or say what each shows with --labels"
        )
    clips = [Clip(video, (video.split("/")[0],)) for video in videos]
    if part := next((name for clip in clips for name in clip.labels if ANOMALIES.fullmatch(name)), None):
        raise UserError(
            f"{root}: {part} is no class but a part of UCF-Crime as its archives unpack; aadc-manifest ucf makes its manifest, "
            f"and its videos are found there as they lie"
        )
    return clips


def clips_of_labels(labels: Path, root: Path) -> list[Clip]:
    """The clips that a CSV with columns video, split, label names (`|` between several labels), all of them below `root`.

    `UserError` lists every bad row: no such video, a split that is not train or test, a video named twice.
    """
    table, problems = read_table(labels, ("video", "split", "label"))
    here = set(find_videos(root))
    clips: list[Clip] = []
    first_line: dict[str, int] = {}
    for line, cells in table:
        try:
            row = Row(video=cells["video"], split=cells["split"], labels=cells["label"])
        except ValidationError as error:
            problems.append(Problem(line, problems_of(error)))
            continue
        if row.video not in here:
            problems.append(Problem(line, f"video: there is no video {row.video} in {root}"))
        if not all(row.labels):
            problems.append(Problem(line, "label: empty; write the class that the video shows"))
        if first_line.setdefault(row.video, line) != line:
            problems.append(Problem(line, f"video: {row.video} stands already in line {first_line[row.video]}"))
        clips.append(Clip(row.video, row.labels, row.split))
    refuse(labels, problems)
    if not clips:
        raise UserError(f"{labels}: no videos in it; it needs one row a video below the header")
    return clips


def class_names(clips: Iterable[Clip]) -> list[str]:
    """All classes of the clips, sorted."""
    return sorted({label for clip in clips for label in clip.labels})


def parse_normal(answers: Sequence[str], classes: Sequence[str], numbers: bool = False) -> list[str]:
    """The classes that the answers name, commas between them or one an answer; their numbers from 1 if allowed.

    `UserError` says which part is none of them, or that not all classes can be normal, nor none.
    """
    chosen: list[str] = []
    for answer in answers:
        for part in [answer] if answer in classes else filter(None, map(str.strip, answer.split(","))):
            if part in classes:
                chosen.append(part)
            elif numbers and part.isdecimal() and 1 <= int(part) <= len(classes):
                chosen.append(classes[int(part) - 1])
            else:
                raise UserError(f"{part!r} is none of the classes: {', '.join(classes)}")
    if not chosen:
        raise UserError(f"no class is normal; name at least one of {', '.join(classes)}")
    if set(chosen) == set(classes):
        raise UserError("every class is normal; at least one must be an anomaly, or there is nothing to learn")
    return list(dict.fromkeys(chosen))


def ask_normal(classes: Sequence[str], ask: Callable[[str], str], tell: Callable[[str], None]) -> list[str]:
    """Show a numbered list and ask which classes are normal, until the answer is one. `UserError` at the end of input."""
    tell("Which classes are normal, everyday ones? All others count as anomalies.")
    for number, name in enumerate(classes, start=1):
        tell(f"  {number:>3}  {name}")
    while True:
        try:
            answer = ask("numbers or names, commas between them: ")
        except EOFError:
            raise UserError("no answer; say which classes are normal with --normal walking,squat") from None
        try:
            return parse_normal([answer], classes, numbers=True)
        except UserError as error:
            tell(str(error))


def split_clips(clips: Sequence[Clip], test_share: float, seed: int) -> list[str]:
    """`train` or `test` for each clip: those without a split are drawn class by class, the same for the same seed.

    Every class of two clips or more gets at least one into each split (unless `test_share` is 0 or 1); a lone clip
    trains. A class is drawn by itself, so that adding one leaves the others as they were. Clips of several classes
    are drawn as a class of their own.
    """
    splits = [clip.split or "train" for clip in clips]
    members_of: dict[tuple[str, ...], list[int]] = {}
    for index, clip in enumerate(clips):
        if clip.split is None:
            members_of.setdefault(clip.labels, []).append(index)
    for labels, members in members_of.items():
        members.sort(key=lambda index: clips[index].video)
        random.Random(f"{seed} {'|'.join(labels)}").shuffle(members)
        count = round(test_share * len(members))
        if 0 < test_share < 1:
            count = min(max(count, 1), len(members) - 1)
        for index in members[:count]:
            splits[index] = "test"
    return splits


def make_rows(clips: Sequence[Clip], splits: Sequence[str], normal: Sequence[str], whole_clips: bool) -> list[Row]:
    """Manifest rows; with `whole_clips` an abnormal test clip is anomalous from its first frame to its last."""
    rows = []
    for clip, split in zip(clips, splits, strict=True):
        abnormal = [label for label in clip.labels if label not in normal]
        segments = tuple(Segment(0, None, label) for label in abnormal) if whole_clips and split == "test" else ()
        rows.append(Row(video=clip.video, split=split, labels=clip.labels, segments=segments))
    return rows


def marked_by_hand(manifest: Manifest) -> dict[str, Row]:
    """Rows with segments that somebody has set, by video: other than the whole of it, which `--whole-clips` sets."""
    return {row.video: row for row in manifest.rows if any(segment[:2] != (0, None) for segment in row.segments)}


def take_over(rows: Sequence[Row], card: Card, before: Manifest) -> tuple[list[Row], Card]:
    """Rows and card with what people have written into the manifest that they replace: prompts, segments of test rows with
    the same labels, frame counts, title, source and licence.

    Raises:
        UserError: a segment that fits the new classes no longer.
    """
    prompts = {entry.name: entry.prompt for entry in before.card.classes}
    classes = [entry.model_copy(update={"prompt": prompts.get(entry.name, entry.prompt)}) for entry in card.classes]
    about = {name: getattr(before.card, name) for name in ("title", "source", "licence")}
    card = card.model_copy(update={"classes": classes, **about})
    marked, there, taken = marked_by_hand(before), {row.video: row for row in before.rows}, []
    for row in rows:
        old = there.get(row.video)
        cells = row.model_dump() | ({"frames": old.frames} if old else {})
        if row.split == "test" and old and row.video in marked and old.labels == row.labels:
            cells["segments"] = old.segments
        try:
            taken.append(Row.model_validate(cells, context=card))
        except ValidationError as error:
            raise UserError(f"{before.path}: {row.video}: {problems_of(error)}") from None
    return taken, card


def make_card(title: str, classes: Sequence[str], normal: Sequence[str], videos: str) -> Card:
    """A card with the normal classes first and each class's name as its prompt. `UserError` for a name it cannot hold."""
    ordered = [*(name for name in classes if name in normal), *(name for name in classes if name not in normal)]
    try:
        return Card(
            title=title,
            videos=videos,
            classes=[
                ClassEntry(name=name, kind="normal" if name in normal else "abnormal", prompt=readable(name))
                for name in ordered
            ],
        )
    except ValidationError as error:
        raise UserError(f"{title}: {problems_of(error)}") from None


def readable(name: str) -> str:
    """A class name as words: `RoadAccidents` and `road_accidents` are "road accidents".

    No "a video of": the learned context vectors before and after the words are what such a template would be.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-.]+", " ", name)
    return " ".join(spaced.split()).lower() or name


def root_for_card(root: Path, manifest: Path) -> str:
    """How the card should name the video root: relative to the manifest if both lie below the working folder.

    So a project can be moved as a whole; videos somewhere else are named absolutely.
    """
    root, folder, here = root.resolve(), manifest.parent.resolve(), Path.cwd().resolve()
    if root.is_relative_to(folder) or (root.is_relative_to(here) and folder.is_relative_to(here)):
        return Path(os.path.relpath(root, folder)).as_posix()
    return str(root)
