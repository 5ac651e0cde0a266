"""`aadc-import` at work: a folder of published features and a manifest become a run, shard by shard.

A shard of sixteen videos appears when it is whole; killed at any moment, what is finished stays and the same command goes on.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aadc.extract.model_names import MINIATURE, named
from aadc.extract.old_reader import IMPORTED
from aadc.extract.published.arrays import ArrayError, Seen
from aadc.extract.published.folder import FeatureFile, FeatureFolder, look_into
from aadc.extract.published.joined import Joined, choose_crops, join
from aadc.extract.published.layouts import Recognised, recognise
from aadc.extract.published.video import Reading, facts, fits, read_blocks
from aadc.extract.run_folder import RunFolder, RunRecord
from aadc.extract.set_aside import Rejected, write_rejected
from aadc.extract.shard_layout import Entry
from aadc.extract.shards import ShardHeader, ShardSet, ShardWriter, new_shard, shard_files, shard_index
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder
from aadc.manifests.manifest import Manifest, Row

NO_CLIP = "none"
_VIDEOS_PER_SHARD = 16


@dataclass(frozen=True)
class Import:
    """What is to be done: which files are whose, how they are read, and what the shards will say of it."""

    folder: FeatureFolder
    manifest: Manifest
    found: Recognised
    joined: Joined
    reading: Reading
    header: ShardHeader

    @property
    def layout(self) -> str:
        return self.found.layout.name


@dataclass
class Done:
    """What became of it: videos and rows that were read now, videos that were there before, the rejected, what was met."""

    videos: int = 0
    rows: int = 0
    before: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)


def plan_import(folder: Path, manifest: Manifest, layout: str, crop: str | None, clip: str | None, stride: int) -> Import:
    """Look at a folder and join it to a manifest; nothing is written.

    Args:
        layout: one of `layouts.LAYOUTS`, or `auto`.
        crop: a digit, `mean` or `all`; None for what the layout's authors take.
        clip: the CLIP that the features are from: NAME/TAG, or a folder, whose weights then go into the header by their hash;
            `none`: from none; None for what the layout's authors say.
    Raises:
        UserError: nothing fits.
    """
    files = look_into(folder)
    found = recognise(files, layout)
    joined = join(files, manifest)
    tested = 5 if manifest.card.title == "UCF-Crime" else 0  # what VadCLIP tests with on either benchmark
    inside = found.views > 1
    there = range(found.views) if inside else sorted({crop for crops in joined.files.values() for crop in crops} or {0})
    usual = str(tested) if found.layout.crop == "test" else found.layout.crop
    crops = choose_crops(there, crop, usual, tested)
    views = len(there) - 1 if crops.all else 0
    reading = Reading(found.form, crops, inside, views, stride, found.segments)
    return Import(files, manifest, found, joined, reading, _header(files, found, reading, clip))


def _header(folder: FeatureFolder, found: Recognised, reading: Reading, clip: str | None) -> ShardHeader:
    """The fingerprint is of what made the features, not of which videos or crops they are: a head that was trained on one data
    set's, or on all crops, can score another's, or one crop. The listing tells whether two imports are of the same files."""
    models: dict[str, dict[str, object]] = {
        "imported": {"source": found.layout.name, "folder": str(folder.path.resolve()), "listing": folder.listing}
    }
    if (about := _about_clip(clip or found.layout.clip, given=clip is not None)) is not None:
        models["clip"] = about
    sampling = {
        "stride": reading.stride,
        "crops": reading.crops.name,
        "width": found.form.width,
        "reader": IMPORTED,
    }
    what = {"imported": found.layout.name, "clip": models.get("clip"), "stride": reading.stride, "width": found.form.width}
    fingerprint = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return ShardHeader(fingerprint, models, sampling)


def _about_clip(clip: str | None, given: bool) -> dict[str, object] | None:
    """Name and hash of the weights. Of a published name the hash is left open until its text side is loaded; whoever gives a
    folder, or the miniature, has it here."""
    if clip is None or clip == NO_CLIP:
        return None
    source = named(clip, "clip")
    if given and (source == MINIATURE or os.path.isdir(source) or source.startswith((".", "/", "~"))):
        from aadc.extract.clip_model import load_clip  # brings torch along: half a gigabyte that nothing else here needs

        loaded = load_clip(source)
        return {"source": loaded.source, "weights": loaded.weights, "width": loaded.width}
    if given and not source.startswith("hf-hub:") and "/" not in source:
        raise UserError(f"--clip {clip}: a CLIP model is named NAME/TAG, for example ViT-B-16/openai, or is a folder; or none")
    return {"source": source, "weights": ""}


def check_run(run: RunFolder, planned: Import) -> None:
    """Refuse to mix features in one run. `UserError` says what its shards are of."""

    def kind(header: ShardHeader) -> tuple[object, ...]:
        return header.fingerprint, dict(header.sampling), header.models.get("clip")

    for path in shard_files(run.shards)[:1]:  # one speaks for all, see `shards.ShardSet`
        there, views = (index := shard_index(path)).header, index.widths.get("N", planned.reading.views)
        if kind(there) != kind(planned.header):
            raise UserError(
                f"{run.path}: holds other features ({_in_words(there)}) than these ({_in_words(planned.header)}); name another "
                "folder with --run"
            )
        if views != planned.reading.views:
            raise UserError(
                f"{run.path}: holds {views + 1} crops of every row, and these are {planned.reading.views + 1}; name another "
                "folder with --run"
            )


def _in_words(header: ShardHeader) -> str:
    sources = " ".join(str(model.get("source", "?")) for model in header.models.values())
    return ", ".join([sources, *(f"{key} {value}" for key, value in header.sampling.items() if key != "reader")])


def write_run(planned: Import, run: RunFolder, tell: Callable[[int, int], None]) -> Done:
    """Make the run: manifest and card, run.json, shards, rejected.csv. Only for whoever holds its lock.

    Args:
        tell: hears of each video that is read: (bytes of its files, rows).
    Raises:
        UserError: the disk is full, or the run holds features of another kind; what is finished stays.
    """
    check_run(run, planned)
    make_folder(run.shards)
    run.keep_manifest(planned.manifest)
    record = RunRecord(
        manifest=str(planned.manifest.path.resolve()),
        videos=str(planned.folder.path.resolve()),
        fingerprint=planned.header.fingerprint,
        models={name: dict(about) for name, about in planned.header.models.items()},
    )
    run.write_record(record)
    there = ShardSet(run.shards).entries
    rows = {row.key: row for row in planned.manifest.rows}
    fitting = {
        key: entry for key, entry in there.items() if key not in rows or fits(entry.snippets, rows[key], planned.reading)
    }
    done = Done(rejected=_rejected_at_once(planned, fitting))
    for number, its_rows in sorted(_by_shard(planned.manifest.rows, there).items()):
        _write_shard(planned, run, number, its_rows, there, fitting, done, tell)
    write_rejected(run.rejected, done.rejected)
    return done


def _by_shard(rows: Sequence[Row], there: Mapping[str, Entry]) -> dict[int, list[Row]]:
    """Rows by the number of their shard. A video that is in one stays there, however the manifest has grown or been sorted
    since; another one belongs to the shard of its row's place."""
    shards: dict[int, list[Row]] = {}
    for place, row in enumerate(rows):
        entry = there.get(row.key)
        shards.setdefault(int(entry.path.stem) if entry else place // _VIDEOS_PER_SHARD, []).append(row)
    return shards


def _rejected_at_once(planned: Import, held: Mapping[str, Entry]) -> list[Rejected]:
    joined = planned.joined
    videos = {row.key: row.video for row in planned.manifest.rows}
    twice = (
        Rejected(videos[key], "twice", f"{one.below} and {two.below} have its name and differ; remove one")
        for key, (one, two) in joined.twice.items()
        if key not in held
    )
    missing = (
        Rejected(row.video, "missing", "no file of its name in the folder") for row in joined.missing if row.key not in held
    )
    return [*twice, *missing]


def _write_shard(
    planned: Import,
    run: RunFolder,
    number: int,
    rows: Sequence[Row],
    there: Mapping[str, Entry],
    fitting: Mapping[str, Entry],
    done: Done,
    tell: Callable[[int, int], None],
) -> None:
    """Put the videos of one shard together: those it holds and whose files have not changed are taken over, others are read.

    Args:
        there: what the shards hold, by key; `fitting`, what of it is as the manifest's rows would have it now. Videos that the
            manifest does not name stay.
    """
    path = run.shards / f"{number:05d}.h5"
    files = planned.joined.files
    fresh = [row for row in rows if row.key in files and not _as_before(fitting.get(row.key), files[row.key], planned)]
    kept = [row for row in rows if row.key in fitting and row not in fresh]
    done.before += len(kept)
    relabelled = any((fitting[row.key].split, fitting[row.key].labels) != (row.split, row.labels) for row in kept)
    misfits = any(row.key in there and row.key not in fitting for row in rows)
    if not fresh and not relabelled and not misfits:
        return
    own = {row.key for row in planned.manifest.rows}
    others = [(key, entry) for key, entry in there.items() if entry.path == path and key not in own]
    try:
        with new_shard(path, planned.header) as shard:
            written = [row for row in rows if _put(planned, row, shard, path if row in kept else None, done, tell)]
            for key, entry in others:
                shard.copy(path, key, entry.split, entry.labels)
            if not written and not others:
                raise _NothingError
    except _NothingError:
        path.unlink(missing_ok=True)


class _NothingError(Exception):
    """Not one video of a shard can be used, so there is none."""


def _as_before(entry: Entry | None, files: Mapping[int, FeatureFile], planned: Import) -> bool:
    """Whether a shard has what these files hold: by their sizes and when they were changed."""
    if entry is None:
        return False
    row = Row(video=entry.video, split=entry.split, labels=entry.labels or ("?",))
    now = facts(row, entry.snippets, files, planned.reading)
    return (entry.record.size, entry.record.mtime_ns) == (now.size, now.mtime_ns)


def _put(
    planned: Import, row: Row, shard: ShardWriter, source: Path | None, done: Done, tell: Callable[[int, int], None]
) -> bool:
    """Bring one video into a shard, from another one or from its files; whether it is in it then."""
    if source is not None:
        shard.copy(source, row.key, row.split, row.labels)
        return True
    if (files := planned.joined.files.get(row.key)) is None:
        return False
    rows = 0
    try:
        for block in read_blocks(files, row, planned.reading, done.seen):
            shard.append(row.key, block)
            rows += len(block["frame"])
    except ArrayError as error:
        shard.drop(row.key)
        done.rejected.append(Rejected(row.video, error.reason, str(error)))
        rows = 0
    else:
        shard.describe(facts(row, rows, files, planned.reading))
        done.videos, done.rows = done.videos + 1, done.rows + rows
    tell(sum(file.size for file in files.values()), rows)
    return rows > 0
