"""What `aadc-import` says: what it found, how far it is, what is missing on which side, totals beside the known ones."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aadc.extract.published.arrays import Seen
from aadc.extract.published.import_run import Done, Import, plan_import, write_run
from aadc.extract.published.joined import name_of
from aadc.extract.published.totals import KNOWN, Totals, rows_expected, totals
from aadc.extract.published.video import FPS
from aadc.extract.run_choice import next_step
from aadc.extract.run_folder import RUNS, RunFolder
from aadc.extract.shard_layout import Entry
from aadc.extract.shards import ShardSet
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import read_manifest
from aadc.manifests.progress import ProgressLine, clock
from aadc.manifests.shown import say

MOST_NAMES = 10


def import_folder(
    folder: Path, manifest: Path, layout: str, crop: str | None, clip: str | None, stride: int, run: Path | None
) -> int:
    """Import a folder into a run; the options are those of `aadc-import`.

    Returns:
        0 where all is there, 1 where videos are on one side alone or were rejected.
    Raises:
        UserError: nothing could start, or not one video could be used.
    """
    listed = read_manifest(manifest)
    target = RunFolder(run or RUNS / listed.name)
    planned = plan_import(folder, listed, layout, crop, clip, stride)
    _say_plan(planned, target)
    with target.lock(), _Told(planned) as told:
        done = write_run(planned, target, told)
    entries = ShardSet(target.shards).entries
    if not entries:
        first = done.rejected[0]
        raise UserError(
            f"{folder}: not one video could be used; {first.video}: {first.what}, and {len(done.rejected) - 1} more"
        )
    say(
        f"{done.videos} videos read ({done.rows} rows), {done.before} were there before, {len(done.rejected)} rejected; "
        f"{told.rates()}"
    )
    _say_seen(done.seen)
    _say_sides(planned, done, target)
    _say_totals(planned, entries)
    say(f"next: {next_step(target, 'aadc-train-head')}")
    return 1 if done.rejected or planned.joined.unknown else 0


def _say_plan(planned: Import, run: RunFolder) -> None:
    found, reading = planned.found, planned.reading
    joined = planned.joined
    say(f"{planned.folder.path}: {len(planned.folder.files)} files of layout {found.layout.name} ({found.layout.of})")
    crops = {"mean": "the mean of its crops", "all": "all its crops; training draws among them, scoring takes the usual one"}
    say(
        f"{len(joined.files)} of {len(planned.manifest.rows)} videos of {planned.manifest.path} have features, "
        f"{found.form.width} wide; of each is taken {crops.get(reading.crops.name, f'crop {reading.crops.name}')} -> {run.path}"
    )
    say(
        f"a row stands for {reading.stride} frames; times at {FPS:g} frames a second, which no feature file states"
        if not reading.segments
        else f"a row stands for a 32nd of its video; test videos are laid on the frames that the manifest states, one row in "
        f"{reading.stride}"
    )
    if (clip := planned.header.models.get("clip")) is not None:
        known = f"weights {clip['weights'][:8]}" if clip["weights"] else "its text side is loaded when it is needed"
        say(f"CLIP: {clip['source']} ({known}); another one is named by --clip")
    else:
        say("CLIP: none, or not known which: classes are learned without words; --clip NAME/TAG names the one they are from")
    say("no detector: a head on these is AADC-Net without DETR")
    for note in planned.folder.passed_over:
        say(f"note: {note}")
    if joined.copies:
        say(
            f"note: {len(joined.copies)} files are copies of others, or lie elsewhere than their videos do, "
            f"{joined.copies[0].below} for one; passed over"
        )


def _say_seen(seen: Seen) -> None:
    notes = {
        "arrays lay the other way round (width first, or crops behind) and were turned": seen.transposed,
        "rows are all zero, as padding is; they are kept": seen.zero_rows,
        "files are of more than half precision; a shard keeps half": seen.wide_numbers,
        "rows were too large or too small for half precision and were brought to length 1, which changes no direction": (
            seen.scaled_rows
        ),
    }
    for what, count in notes.items():
        if count:
            say(f"note: {count} {what}")


def _say_sides(planned: Import, done: Done, run: RunFolder) -> None:
    missing = [one.video for one in done.rejected if one.reason == "missing" and "in the folder" in one.what]
    _say_names(missing, "videos of the manifest have no features")
    others = [one for one in done.rejected if one.video not in set(missing)]
    for one in others[:MOST_NAMES]:
        say(f"rejected: {one.video}: {one.reason}: {one.what}")
    if done.rejected:
        say(f"all of them: {run.rejected}; the same command takes them up once they are there")
    unknown = planned.joined.unknown
    _say_names(list(unknown), f"videos have features ({sum(map(len, unknown.values()))} files) and are not in the manifest")


def _say_names(names: Sequence[str], what: str) -> None:
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        say(f"{len(names)} {what}: {', '.join(names[:MOST_NAMES])}{more}")


def _say_totals(planned: Import, entries: Mapping[str, Entry]) -> None:
    manifest = planned.manifest
    if not manifest.split("test"):
        return
    found = totals(manifest.split("test"), entries, manifest.card)
    say(f"test: {_in_words(found)}")
    known = KNOWN.get((manifest.card.title, planned.layout))
    if known is None or planned.reading.stride != 16:
        return
    if found == known:
        say("these are the known totals of these features")
        return
    say(f"known: {_in_words(known)}")
    rows = manifest.split("test")
    wrong = [
        f"{name_of(row.video)} ({entries[row.key].snippets} rows, not {expected})"
        for row in rows
        if row.key in entries
        and row.frames
        and (expected := rows_expected(row.frames, name_of(row.video), planned.layout)) != entries[row.key].snippets
    ]
    _say_names([name_of(row.video) for row in rows if row.key not in entries], "test videos are not in the shards")
    _say_names(wrong, "test videos have other rows than their frames make")
    if found._replace(anomalous=0) == known._replace(anomalous=0):
        say("videos, rows and frames agree; the spans of the manifest are other ones than those that the known total is of")
    elif not any(row.frames for row in rows):
        say("the manifest states no frames, so it cannot be said which videos have other rows")


def _in_words(one: Totals) -> str:
    return f"{one.videos:,} videos, {one.rows:,} rows, {one.frames:,} frames, {one.anomalous:,} of them anomalous"


class _Told(ProgressLine):
    """A line a minute where there is no terminal; the time left goes by bytes of features."""

    def __init__(self, planned: Import):
        super().__init__(every_s=60)
        files = planned.joined.files
        self.videos = len(files)
        self.total = sum(file.size for crops in files.values() for file in crops.values())
        self.done = self.bytes = self.rows = 0
        self.began = time.monotonic()

    def __call__(self, size: int, rows: int) -> None:
        self.done, self.bytes, self.rows = self.done + 1, self.bytes + size, self.rows + rows
        left = (time.monotonic() - self.began) / max(1, self.bytes) * (self.total - self.bytes)
        self.show(f"{self.done}/{self.videos} videos, {self.rates()}, {clock(left)} left", self.bytes, self.total)

    def rates(self) -> str:
        took = max(time.monotonic() - self.began, 1e-9)
        return f"{self.done / took:.0f} videos/s, {self.rows / took:.0f} rows/s"
