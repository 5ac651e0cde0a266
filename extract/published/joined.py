"""Feature files and the rows of a manifest, joined by name."""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from aadc.extract.published.folder import FeatureFile, FeatureFolder
from aadc.extract.published.names import Named, crop_named, read_name
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, Row
from aadc.manifests.video_suffixes import is_video_name


@dataclass
class Joined:
    """Files of each row's crops (0 where names say none), by key; the rows without files; files of no row, by what their names
    say; and, for rows with two files of one crop, which these are."""

    files: dict[str, dict[int, FeatureFile]] = field(default_factory=dict)
    missing: list[Row] = field(default_factory=list)
    unknown: dict[str, list[FeatureFile]] = field(default_factory=dict)
    twice: dict[str, tuple[FeatureFile, FeatureFile]] = field(default_factory=dict)
    copies: list[FeatureFile] = field(default_factory=list)


def name_of(video: str) -> str:
    """What lists and features call a video: the name of its file without the ending of a video."""
    name = PurePosixPath(video).name
    return name[: -len(PurePosixPath(name).suffix)] if is_video_name(name) else name


def names_of(rows: Sequence[Row]) -> list[PurePosixPath]:
    """What features of these rows are called: the path of each video without its ending, with it where another has the same."""
    plain = [PurePosixPath(row.video).with_name(name_of(row.video)) for row in rows]
    count = Counter(plain)
    return [name if count[name] == 1 else PurePosixPath(row.video) for row, name in zip(rows, plain, strict=True)]


def join(folder: FeatureFolder, manifest: Manifest) -> Joined:
    """Find the files of every row.

    Of two files with one name the one is taken that lies in a folder called as the manifest's own; else, where they hold the
    same bytes, the first; else neither, for nothing says which is right.

    Raises:
        UserError: no file fits any row, or one is of either of two: `x__0.npy` of the video x__0, or a crop of the video x.
    """
    rows: dict[str, list[Row]] = {}
    for listed, called in zip(manifest.rows, names_of(manifest.rows), strict=True):
        rows.setdefault(called.name, []).append(listed)
    joined = Joined()
    candidates: dict[tuple[str, int], tuple[Row, list[FeatureFile]]] = {}
    stems = {file.stem for file in folder.files}
    for file in folder.files:
        name, crop = _sure(file, read_name(file.stem, rows), rows, stems)
        if (row := _row_of(file, rows.get(name, []))) is not None:
            candidates.setdefault((row.key, crop or 0), (row, []))[1].append(file)
        else:
            joined.unknown.setdefault(name, []).append(file)
    for (_, crop), (its_row, files) in candidates.items():
        taken = _one_of(files, its_row, joined)
        if taken is not None:
            joined.files.setdefault(its_row.key, {})[crop] = taken
    for key in joined.twice:
        joined.files.pop(key, None)
    joined.missing = [row for row in manifest.rows if row.key not in joined.files and row.key not in joined.twice]
    if not candidates:
        ours, theirs = next(iter(rows)), next(iter(joined.unknown), "names of several of its videos")
        raise UserError(
            f"{folder.path}: not one of its {len(folder.files)} files is of a video of {manifest.path}; it has {theirs} for "
            f"one, and the manifest {ours}: is it the manifest of this data set?"
        )
    return joined


def _sure(file: FeatureFile, read: Named, rows: Container[str], stems: Container[str]) -> Named:
    """What a file is of where the manifest has a video whose name ends as crops do, `x__0`, beside the video `x`.

    The other files tell: with `x.npy`, names say no crops, with `x__0__0.npy` they do.
    """
    as_crop = crop_named(file.stem)
    if read.crop is not None or as_crop is None or as_crop.video not in rows or as_crop.video in stems:
        return read
    if any(f"{read.video}__{crop}" in stems for crop in range(10)):
        return as_crop
    raise UserError(
        f"{file.below}: may be of the video {read.video} or crop {as_crop.crop} of {as_crop.video}, and the manifest has both; "
        f"name it {read.video}__0 if it is of {read.video}, else rename that video, in the manifest, too"
    )


def _row_of(file: FeatureFile, rows: Sequence[Row]) -> Row | None:
    """The row of the file's name; of several, as where every camera has its 001.mp4, the one in whose folder the file lies."""
    if len(rows) < 2:
        return rows[0] if rows else None
    place = PurePosixPath(file.below).parent.parts
    parents = [PurePosixPath(row.video).parent.parts for row in rows]
    fits = [row for row, parent in zip(rows, parents, strict=True) if parent and place[-len(parent) :] == parent]
    return fits[0] if len(fits) == 1 else None


def _one_of(files: Sequence[FeatureFile], row: Row, joined: Joined) -> FeatureFile | None:
    if len(files) == 1:
        return files[0]
    parent = PurePosixPath(row.video).parent.name
    at_home = [file for file in files if parent and PurePosixPath(file.below).parent.name == parent]
    best = at_home or files
    if len(best) == 1 or all(_same_bytes(best[0], other) for other in best[1:]):
        joined.copies += [file for file in files if file is not best[0]]
        return best[0]
    joined.twice.setdefault(row.key, (best[0], best[1]))
    return None


def _same_bytes(one: FeatureFile, other: FeatureFile) -> bool:
    return one.size == other.size and one.path.read_bytes() == other.path.read_bytes()


@dataclass(frozen=True)
class Crops:
    """Which crops of each video are taken: `first` alone, the `mean` of all, or `all`, `first` before the others (views)."""

    first: int
    mean: bool = False
    all: bool = False

    @property
    def name(self) -> str:
        """As it was, or could have been, asked for."""
        return "mean" if self.mean else "all" if self.all else str(self.first)


def choose_crops(there: Sequence[int], asked: str | None, usual: str, tested: int) -> Crops:
    """Which crops to take.

    Args:
        there: numbers of those that there are, ascending.
        asked: what the user said: a digit, `mean`, `all`; None for `usual`, or for the only one there is.
        tested: the one that stands first where all are kept: what videos are scored with.
    Raises:
        UserError: it is none of these, or there is no such crop.
    """
    choice = asked or usual
    if choice == "mean":
        return Crops(there[0], mean=len(there) > 1)
    if choice == "all":
        return Crops(tested if tested in there else there[0], all=len(there) > 1)
    if not (choice.isascii() and choice.isdecimal() and len(choice) == 1):
        raise UserError(f"--crop {choice}: give the number of a crop (0 is the centre), mean or all")
    if int(choice) in there:
        return Crops(int(choice))
    if asked is None and len(there) == 1:
        return Crops(there[0])
    raise UserError(
        f"--crop {choice}: no video has this crop; there {'is' if len(there) == 1 else 'are'} {', '.join(map(str, there))}: "
        f"give --crop {there[0]}" + (", mean or all" if len(there) > 1 else "")
    )
