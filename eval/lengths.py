"""What a row of scores stands for, a snippet or a frame, told by its length; and what is wrong with one that fits nothing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aadc.eval.field_protocols import SNIPPET
from aadc.eval.video_names import plain_name
from aadc.manifests.errors import UserError
from aadc.manifests.shown import shown

# VadCLIP's features (and those of all who share them) have one row more than frames // 16 of these videos.
ONE_MORE = {
    "Normal_Videos_924_x264", "Normal_Videos_935_x264", "Normal_Videos_940_x264",
    "v=KERh4R2BbS0__#1_label_A", "v=vHnAmx0UYbM__#1_label_A", "v=wQrV75N2BrI__#1_label_A",
}  # fmt: skip
_MOST_SHOWN = 10


@dataclass(frozen=True)
class Length:
    """Scores of a video, its frames (None: not known), and up to which frame its spans go (0: it has none)."""

    scores: int
    frames: int | None
    spans_end: int


@dataclass(frozen=True)
class Reading:
    """How the scores of a set are read: `by_frame`, or one for 16 frames. `rule` is how most lengths come about, `other` the
    videos whose length differs from it by no more than a snippet: they are cut, or their last score is held."""

    by_frame: bool
    rule: str
    other: tuple[str, ...]

    @property
    def stride(self) -> int:
        """Frames that a score stands for."""
        return 1 if self.by_frame else SNIPPET


def rules(name: str, frames: int) -> dict[str, int]:
    """How many rows of 16 frames a video of so many frames has, by the rules in use."""
    return {
        "frames // 16, as VadCLIP's": frames // SNIPPET + (plain_name(name) in ONE_MORE),
        "(frames - 1) // 16": (frames - 1) // SNIPPET,
        "frames / 16, rounded up": -(-frames // SNIPPET),
    }


def read_lengths(lengths: Mapping[str, Length]) -> Reading:
    """Snippets or frames, one of them for the whole set.

    Raises:
        UserError: nothing tells which, or videos whose length fits neither; all of these at once.
    """
    votes = Counter(unit for name, one in lengths.items() for unit in ("frame", "snippet") if _fits(one, unit == "frame"))
    told = [one for one in lengths.values() if one.frames or one.spans_end]
    if not told:
        raise UserError(
            "neither frames nor spans in the manifest tell whether a score stands for a frame or for a snippet; fill its "
            "column frames, the number of frames of each video"
        )
    # Spans alone never rule out snippets: as many scores as frames are more than enough of them.
    even = not any(one.frames for one in lengths.values())
    by_frame = votes["frame"] > votes["snippet"] or (even and votes["frame"] == votes["snippet"])
    wrong = [name for name, one in lengths.items() if not _fits(one, by_frame)]
    if wrong:
        listed = "\n  ".join(_misfit(name, lengths[name], by_frame) for name in wrong[:_MOST_SHOWN])
        more = f"\n  and {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
        unit = "one score a frame" if by_frame else f"one score for {SNIPPET} frames"
        raise UserError(
            f"{len(wrong)} of {len(lengths)} videos have another number of scores than their frames call for ({unit}, up to "
            f"one snippet more or less):\n  {listed}{more}"
        )
    return _by_rule(lengths, by_frame)


def _by_rule(lengths: Mapping[str, Length], by_frame: bool) -> Reading:
    known = {name: one for name, one in lengths.items() if one.frames}
    exact: dict[str, set[str]] = {}
    for name, one in known.items():
        assert one.frames is not None
        expected = {rule: SNIPPET * rows if by_frame else rows for rule, rows in rules(name, one.frames).items()}
        if by_frame:
            expected = {"every frame": one.frames} | {f"16 × ({rule})": count for rule, count in expected.items()}
        for rule, count in expected.items():
            exact.setdefault(rule, set()).update({name} if count == one.scores else ())
    if not exact:
        return Reading(by_frame, "the manifest states no frames", ())
    rule = max(exact, key=lambda rule: len(exact[rule]))
    return Reading(by_frame, rule, tuple(name for name in known if name not in exact[rule]))


def _fits(length: Length, by_frame: bool) -> bool:
    if length.frames is None:
        reach = length.scores * (1 if by_frame else SNIPPET)
        return length.spans_end - SNIPPET <= reach
    if by_frame:
        return abs(length.scores - length.frames) <= SNIPPET
    return (length.frames - 1) // SNIPPET - 1 <= length.scores <= -(-length.frames // SNIPPET) + 1


def _misfit(name: str, length: Length, by_frame: bool) -> str:
    if length.frames is None:
        return f"{shown(name)}: {length.scores} scores, and a span ends at frame {length.spans_end}"
    rows = length.frames // SNIPPET
    right = f"{length.frames}" if by_frame else f"frames // 16 = {rows}"
    text = f"{shown(name)}: {length.scores} scores, {length.frames} frames in the manifest; {right} would fit"
    if _fits(length, not by_frame):
        return text + (", and these are by snippet" if by_frame else ", and these are by frame")
    if length.scores == 32:
        return text + "; 32 segments a video have to be spread over its frames first"
    each = length.frames / length.scores if length.scores else 0
    for step in (4, 8, 24, 30, 32, 64):
        if abs(each - step) < step / 20:
            return text + f", and these are one for {step} frames: repeat each {step} times"
    return text
