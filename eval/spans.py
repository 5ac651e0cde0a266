"""When it happened, and what: spans of a video from its scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aadc.eval.metrics import runs
from aadc.extract.video_features import VideoFeatures


@dataclass(frozen=True)
class Span:
    """Frames [start_frame, end_frame), shown from start_s to end_s (seconds), the most likely abnormal class there, and how
    sure that is: `probability` that something anomalous happens there at all, `share` of that class among the abnormal ones
    (None where there is no other). `peak`: the highest score."""

    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    category: str
    probability: float
    peak: float
    share: float | None = None

    def __str__(self) -> str:
        return f"{period(self.start_s, self.end_s)} {self.category}"

    @property
    def sure(self) -> str:
        """Both figures, `probability 0.97, share 0.62`, named as in every table and in Python."""
        return how_sure(self.probability, self.share, "probability")


def how_sure(probability: float, share: float | None, word: str = "confidence") -> str:
    """`confidence 0.97, share 0.62`: that something happens, and that it is this class; the second where there are several.
    Sentences say confidence: what describers were trained on, and the checker reads."""
    return f"{word} {probability:.2f}" + ("" if share is None else f", share {share:.2f}")


def clock(seconds: float, tenths: bool = False) -> str:
    """`mm:ss`, or `h:mm:ss` from an hour on; with `tenths` of a second `mm:ss.t`."""
    whole, tenth = divmod(int(10 * seconds + 1e-6), 10)
    hours, rest = divmod(whole, 3600)
    text = f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{text}.{tenth}" if tenths else text


def period(start_s: float, end_s: float, tenths: bool = False) -> str:
    """`mm:ss-mm:ss`, with tenths of a second where it would begin and end at the same one."""
    tenths = tenths or clock(start_s) == clock(end_s)
    return f"{clock(start_s, tenths)}-{clock(end_s, tenths)}"


def find_spans(
    anomaly: np.ndarray,
    classes: np.ndarray,
    names: Sequence[str],
    kinds: Sequence[str],
    frame: np.ndarray,
    time: np.ndarray,
    frames: int,
    stride: int,
    threshold: float = 0.5,
    sure: Callable[[np.ndarray], float] = np.max,
) -> list[Span]:
    """Runs of snippets that score at least `threshold`; a single snippet below it does not split a run.

    Args:
        anomaly: float (T,) in [0, 1]; classes: float (T, C) probabilities; names and kinds: of the C classes.
        frame, time: index and presentation time (seconds) of the sampled frame of each snippet.
        frames: of the video; stride: frames a snippet.
        sure: the probability that something happens in a run of snippets, from their scores (`LoadedHead.sure`); the highest of
            them where nothing better is known.
    """
    abnormal = [index for index, kind in enumerate(kinds) if kind == "abnormal"]
    time = np.maximum.accumulate(time)  # shards of older programs hold times that go back where a recording was joined
    over = anomaly >= threshold
    over[1:-1] |= over[:-2] & over[2:]
    spans = []
    for start, end in runs(over):
        share = classes[start:end, abnormal].mean(0)
        best = int(np.argmax(share))
        start_frame, end_frame = start * stride, min(end * stride, frames)
        spans.append(
            Span(
                start_frame,
                end_frame,
                seconds_at(start_frame, frame, time),
                seconds_at(end_frame, frame, time),
                names[abnormal[best]],
                float(sure(anomaly[start:end])),
                float(anomaly[start:end].max()),
                float(share[best] / max(share.sum(), 1e-12)) if len(abnormal) > 1 else None,
            )
        )
    return spans


def seconds_at(at_frame: int, frame: np.ndarray, time: np.ndarray) -> float:
    """When a frame is shown, from the true times of the sampled frames, extended at both ends at their own rate."""
    if len(frame) == 1 or frame[-1] == frame[0]:
        return max(0.0, float(time[0]) if at_frame <= frame[0] else float(time[-1]))
    if at_frame < frame[0]:
        rate = (time[1] - time[0]) / max(frame[1] - frame[0], 1)
        return max(0.0, float(time[0] - (frame[0] - at_frame) * rate))
    if at_frame > frame[-1]:
        rate = (time[-1] - time[0]) / (frame[-1] - frame[0])
        return float(time[-1] + (at_frame - frame[-1]) * rate)
    return float(np.interp(at_frame, frame, time))


class TimeLine:
    """When the frames of a video are shown, in seconds, by the true times of the sampled ones: not frame / fps, for cameras do
    not keep step. A video of one sampled frame has no other rate than its fps."""

    def __init__(self, features: VideoFeatures):
        self._frame, self._time, self._fps = features.frame, np.maximum.accumulate(features.time), features.fps

    def __call__(self, frame: int) -> float:
        if len(self._frame) == 1 and 0 < self._fps < np.inf:
            return frame / self._fps
        return seconds_at(frame, self._frame, self._time)

    def ends(self, frames: int, stride: int) -> np.ndarray:
        """Where the score of each snippet ends, as a share of the whole: float (T,), the last one 1."""
        last = np.minimum(np.arange(1, len(self._frame) + 1) * stride, frames)
        ends = np.array([self(int(frame)) for frame in last]) / max(self(frames), 1e-9)
        ends[-1] = 1
        return np.clip(ends, 0, 1)
