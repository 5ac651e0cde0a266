"""One video under the many names that files of the field give it."""

import re
from collections.abc import Iterable

from aadc.manifests.manifest import Row

_SUFFIX = re.compile(r"\.(npy|npz|json|txt|csv|h5|mp4|avi|mkv|mov|webm|mpg|mpeg)$", re.IGNORECASE)
_CROP = re.compile(r"__([0-9])$")
_ENDINGS = (re.compile(r"_emb$"), re.compile(r"__vggish$"), _CROP, re.compile(r"_(i3d|clip|c3d)$"))


def plain_name(name: str) -> str:
    """A file's name without folders, suffix, crop number and kind of features: `Abuse/Abuse028_x264__5.npy` and
    `Abuse028_x264_i3d.npy` are `Abuse028_x264`. Of names with `__1` inside (XD-Violence) only a final digit is a crop's."""
    name = name.strip().replace("\\", "/").rstrip("/").rpartition("/")[2]
    while (shorter := _SUFFIX.sub("", name)) != name:
        name = shorter
    for ending in _ENDINGS:
        name = ending.sub("", name)
    return name


def crop_of(name: str) -> int | None:
    """The number of the crop that a name ends in, 5 of `Abuse028_x264__5.npy`; None where it says none."""
    while (shorter := _SUFFIX.sub("", name)) != name:
        name = shorter
    return int(found[1]) if (found := _CROP.search(name)) else None


class NamedRows:
    """Rows of a manifest, found by any such name: by the whole path first, then by the plain name where only one has it."""

    def __init__(self, rows: Iterable[Row]):
        self._by_path: dict[str, Row] = {}
        self._by_name: dict[str, list[Row]] = {}
        for row in rows:
            for path in (row.video, row.key, _SUFFIX.sub("", row.video)):
                self._by_path[path] = row
            self._by_name.setdefault(plain_name(row.video), []).append(row)

    def find(self, name: str) -> Row | None:
        """The row that is meant; None where there is none, or more than one."""
        if row := self._by_path.get(name) or self._by_path.get(_SUFFIX.sub("", name)):
            return row
        rows = self._by_name.get(plain_name(name), [])
        return rows[0] if len(rows) == 1 else None

    def alike(self, name: str) -> list[Row]:
        """Rows that a plain name fits, where it fits several."""
        rows = self._by_name.get(plain_name(name), [])
        return rows if len(rows) > 1 else []
