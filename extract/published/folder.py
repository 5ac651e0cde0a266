"""What lies in a folder of published features: its files, however deep they were unpacked, and a hash of the listing."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from aadc.extract.published.names import is_other_kind
from aadc.manifests.errors import UserError

SUFFIXES = (".npy", ".txt")


@dataclass(frozen=True)
class FeatureFile:
    """A file, its path below the folder, its size in bytes and when it was changed."""

    path: Path
    below: str
    size: int
    mtime_ns: int

    @property
    def stem(self) -> str:
        """Its name without folders and ending; a dot in the name of a video is no ending."""
        return self.path.name[: -len(self.path.suffix)]


@dataclass(frozen=True)
class FeatureFolder:
    """The feature files below `path`, sorted; `passed_over` tells in words what else lies there and was left out."""

    path: Path
    files: tuple[FeatureFile, ...]
    listing: str
    passed_over: tuple[str, ...]


def look_into(folder: Path) -> FeatureFolder:
    """List a folder. Hidden files, and what archives of Macs bring along, are left out; links to folders are followed once.

    Raises:
        UserError: it is no folder, cannot be listed, or has no feature file in it.
    """
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder; give the one that the published features were unpacked to")
    found = list(_walk(folder))
    numpy = [file for file in found if file.path.suffix == ".npy"]
    text = [file for file in found if file.path.suffix == ".txt"]
    files, passed_over = (numpy, _several(len(text), "text file")) if numpy else (text, "")
    if not files:
        raise UserError(f"{folder}: no .npy file in it, at any depth; give the folder that the features were unpacked to")
    notes = [f"{passed_over} passed over"] if passed_over else []
    if others := [file for file in files if is_other_kind(file.stem)]:
        files = [file for file in files if not is_other_kind(file.stem)]
        notes.append(f"{_several(len(others), 'file')} of sound or captions passed over, {others[0].below} for one")
    if flows := _flow_beside_rgb(files):
        files = [file for file in files if file not in flows]
        notes.append(f"{_several(len(flows), 'file')} of optical flow passed over, beside those of RGB")
    if not files:
        raise UserError(f"{folder}: only features of sound or captions in it; give the folder of the visual ones")
    return FeatureFolder(folder, tuple(files), _hash(files), tuple(notes))


def _walk(folder: Path) -> list[FeatureFile]:
    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be listed ({error.strerror}); give yourself the right to read it")

    files, seen = [], set()
    for place, subfolders, names in os.walk(folder, followlinks=True, onerror=refuse):
        seen.add(os.path.realpath(place))
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith((".", "__MACOSX")) and os.path.realpath(os.path.join(place, name)) not in seen
        )
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix in SUFFIXES and not name.startswith(".") and path.is_file():
                stat = path.stat()
                files.append(FeatureFile(path, path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns))
    return files


def _flow_beside_rgb(files: list[FeatureFile]) -> set[FeatureFile]:
    """XD-Violence's I3D comes as RGB, RGBTest, Flow and FlowTest with the same names: the flow, where there is RGB too."""

    def of(kind: str) -> set[FeatureFile]:
        return {file for file in files if any(part.lower().startswith(kind) for part in file.below.split("/")[:-1])}

    flow = of("flow")
    return flow if flow and of("rgb") else set()


def _hash(files: list[FeatureFile]) -> str:
    """Of names and sizes: it tells whether another listing is the same, without reading gigabytes."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.below}\0{file.size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}" if count else ""
