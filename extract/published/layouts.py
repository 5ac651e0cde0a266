"""The layouts that features of this field were published in, and how one is recognised."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aadc.extract.published.arrays import SEGMENTS, ArrayError, Form, form_of, shape_of
from aadc.extract.published.folder import FeatureFile, FeatureFolder
from aadc.extract.published.names import readings
from aadc.manifests.errors import UserError

_LOOKED_AT = 48  # files whose shapes are read to know a folder by


@dataclass(frozen=True)
class Layout:
    """Who publishes so.

    `widths`: which a row can have (none: any); `views_axis`: where the crops of an array of three axes stand; `clip`: the CLIP
    that its features are from, as the authors say, None where they are from none or do not say; `crop`: which crop is taken
    where nobody says (`test`: the one that VadCLIP tests with).
    """

    name: str
    of: str
    widths: tuple[int, ...] = ()
    views_axis: int | None = None
    clip: str | None = None
    crop: str = "mean"


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("vadclip", "VadCLIP, DSANet: (T, 512), a file a crop", (512,), clip="ViT-B-16/openai", crop="test"),
        Layout("clip-tsa", "CLIP-TSA, PLOVAD: (T, 512), one crop", (512,)),
        Layout("lap", "LAP: (10, T, 768)", (768,), views_axis=0, clip="ViT-L-14/openai"),
        Layout("i3d", "DeepMIL, PEL4VAD, UR-DMU, XDVioDet: (T, 1024), a file a crop", (1024, 2048)),
        Layout("rtfm", "RTFM, MGFN: (T, 10, 2048)", (2048,), views_axis=1),
        Layout("c3d-txt", "Sultani et al.: 32 lines of 4096 numbers", (4096,)),
        Layout("npy", "any other: (T, D), (D, T), (V, T, D) or (T, V, D)"),
    )
}


@dataclass(frozen=True)
class Recognised:
    """A folder's layout, the form of its arrays, how many crops stand inside of one, and whether each array stands for
    `SEGMENTS` equal parts of its video."""

    layout: Layout
    form: Form
    views: int
    segments: bool


def recognise(folder: FeatureFolder, named: str = "auto") -> Recognised:
    """Which layout a folder has, by the names and shapes of some of its files, or whether it has the one that is named.

    Raises:
        UserError: there is no such layout, not one of the files is an array, or they do not fit the layout.
    """
    if named != "auto" and named not in LAYOUTS:
        raise UserError(f"--layout {named}: there are auto, {', '.join(LAYOUTS)}")
    step = max(1, len(folder.files) // _LOOKED_AT)
    shapes: dict[FeatureFile, tuple[int, ...]] = {}
    trouble = ""
    for file in folder.files[::step]:
        try:
            shapes[file] = shape_of(file.path)
        except ArrayError as error:
            trouble = trouble or f"{file.below}: {error}"
    if not shapes:
        raise UserError(f"{folder.path}: not one of {len(folder.files[::step])} files looked at can be used; {trouble}")
    found = [_guess(file, shape) for file, shape in shapes.items()]
    layout = LAYOUTS[Counter(found).most_common(1)[0][0] if named == "auto" else named]
    form = form_of(list(shapes.values()), layout.widths, layout.views_axis)
    if form is None:
        file, shape = next(iter(shapes.items()))
        raise UserError(
            f"{file.below}: an array of {' x '.join(map(str, shape))}, where {layout.name} is "
            f"{' or '.join(map(str, layout.widths))} wide; were other models at work, give --layout npy "
            "(and --clip)"
        )
    axis = form.views_axis
    views = 1 if axis is None else max(shape[axis] for shape in shapes.values() if len(shape) == 3)
    return Recognised(layout, form, views, _all_of_segments(list(shapes.values()), form))


def _guess(file: FeatureFile, shape: tuple[int, ...]) -> str:
    if file.path.suffix == ".txt":
        return "c3d-txt" if 4096 in shape else "npy"
    if len(shape) == 3:
        return "lap" if 768 in shape else "rtfm" if 2048 in shape else "npy"
    if len(shape) == 2 and 512 in shape:
        with_crop = any(one.crop is not None for one in readings(file.stem)) and "__" in file.stem[-3:]
        return "vadclip" if with_crop else "clip-tsa" if {"train", "test"} & set(Path(file.below).parts) else "npy"
    return "i3d" if len(shape) == 2 and (1024 in shape or 2048 in shape) else "npy"


def _all_of_segments(shapes: Sequence[tuple[int, ...]], form: Form) -> bool:
    """Whether every array has 32 rows, as files of equal parts of a video do: with five or more, chance is ruled out."""
    return all(SEGMENTS in _without(shape, form.width) for shape in shapes) and (len(shapes) > 4 or form.width == 4096)


def _without(shape: tuple[int, ...], width: int) -> list[int]:
    left = list(shape)
    if width in left:
        left.reverse()
        left.remove(width)
    return left
