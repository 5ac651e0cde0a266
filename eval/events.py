"""Events, not frames: how many are found, how late, and how often somebody is called for nothing.

A true event is a run of anomalous frames. Everything here is counted by video first, so that the figure of any draw of videos
is a product with its weights (see `ranked`). Shapes: R draws, V videos.
"""

from collections.abc import Sequence

import numpy as np

from aadc.eval.ranked import runs

RECALL = 0.8  # of the events, that an alarm is set to find
AGAIN_S = 10.0  # an alarm that goes on rings again after so long
EARLY_S = 1.0  # before its start an event is already there: nobody marks it more closely
THRESHOLD = 0.5  # from which a frame counts as anomalous, where one threshold is asked for
TIOUS = (0.2, 0.5)
_MOST_THRESHOLDS = 256

Timed = tuple[np.ndarray, np.ndarray, float]  # score float (F,), truth bool (F,), frames a second


class Alarms:
    """What an operator meets who is called whenever a score reaches a threshold.

    An alarm rings when the score reaches the threshold, and again every `AGAIN_S` seconds while it stays there. It is right
    within an event or at most `EARLY_S` before it, otherwise false. An event is found by the first ring that is right; the
    delay is how long after its start that is. The threshold is the highest of the events' own peaks at which `RECALL` of the
    events are found, or, where none is high enough for that, the one at which the most are. So who calls all the time calls in
    vain all the time, and an alarm that began long before an event does not make it found.

    Args:
        videos: with frames a second above 0 each; at least one has an event.
        index: which columns of the weights these videos are.
    """

    def __init__(self, videos: Sequence[Timed], index: Sequence[int]):
        self._index = np.asarray(index)
        self._hours = np.array([len(score) / fps for score, _, fps in videos]) / 3600
        line = _Line(videos)
        peaks = np.unique([line.score[start:end].max() for start, end in zip(line.start, line.end, strict=True)])[::-1]
        self._thresholds = peaks[:: -(-len(peaks) // _MOST_THRESHOLDS)]
        tables = [line.rung_at(threshold) for threshold in self._thresholds]
        self._found, self._delay, self._false = (np.array(part) for part in zip(*tables, strict=True))
        self._events = np.bincount(line.video, minlength=len(videos))

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """threshold, events_found (share), false_alarms, hours, false_alarms_per_hour and detection_delay_s, mean over the
        found events: each float (R,), nan where a draw has no event."""
        own = weights[:, self._index]
        events, hours = own @ self._events, own @ self._hours
        found = own @ self._found.T
        enough = found >= RECALL * events[:, None] - 1e-9
        at = np.where(enough.any(1), enough.argmax(1), found.argmax(1))
        row = np.arange(len(own))
        none = events == 0
        false, caught = (own @ self._false.T)[row, at], found[row, at]
        delay = (own @ self._delay.T)[row, at] / np.where(caught > 0, caught, np.nan)
        figures = {
            "threshold": self._thresholds[at],
            "events_found": caught / np.maximum(events, 1),
            "false_alarms": false.astype(float),
            "hours": hours,
            "false_alarms_per_hour": false / np.maximum(hours, 1e-12),
            "detection_delay_s": delay,
        }
        return {name: np.where(none, np.nan, values) for name, values in figures.items()}


class _Line:
    """All videos behind each other on one line of frames, so that a threshold is applied to all at once."""

    def __init__(self, videos: Sequence[Timed]):
        lengths = np.array([len(score) for score, _, _ in videos])
        offset = np.cumsum(lengths) - lengths
        self.score = np.concatenate([score for score, _, _ in videos])
        # Frames of equal score rise and fall together; no run goes over the end of a video.
        changed = np.append(True, self.score[1:] != self.score[:-1])
        changed[offset] = True
        self._begin = np.flatnonzero(changed)
        self._level = self.score[self._begin]
        self._of = np.repeat(np.arange(len(videos)), lengths)[self._begin]
        self._frames = len(self.score)
        fps = np.array([fps for _, _, fps in videos])
        self._period = np.maximum(np.round(AGAIN_S * fps), 1).astype(int)
        self._fps = fps
        start, end, video, low = [], [], [], []
        for place, (_, truth, rate) in enumerate(videos):
            before = 0
            for first, last in runs(truth):
                start.append(offset[place] + first)
                end.append(offset[place] + last)
                low.append(offset[place] + max(first - round(EARLY_S * rate), before))
                video.append(place)
                before = last
        self.start, self.end, self.video, self._low = (np.array(part, int) for part in (start, end, video, low))

    def rung_at(self, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """By video, each (V,): events found, the sum of their delays (seconds), false alarms."""
        videos = len(self._fps)
        over = self._level >= threshold
        first = over & np.append(True, ~over[:-1] | (self._of[1:] != self._of[:-1]))
        last = over & np.append(~over[1:] | (self._of[1:] != self._of[:-1]), True)
        begin, of = self._begin[first], self._of[first]
        stop = np.append(self._begin, self._frames)[np.flatnonzero(last) + 1]
        period = self._period[of]
        count = -((begin - stop) // period)
        upto = np.concatenate([[0], np.cumsum(count)])

        def rings_before(position: np.ndarray) -> np.ndarray:
            run = np.searchsorted(begin, position) - 1
            inside = np.minimum(stop[run], position) - begin[run]
            return np.where(run >= 0, upto[run] - (-inside // period[run]), 0)

        low, high = rings_before(self._low), rings_before(self.end)
        caught = high > low
        ring = low[caught]
        run = np.searchsorted(upto, ring, side="right") - 1
        at = begin[run] + (ring - upto[run]) * period[run]
        own = self.video[caught]
        late = np.maximum(at - self.start[caught], 0) / self._fps[own]
        rung = np.bincount(of, count, videos) - np.bincount(self.video, high - low, videos)
        return np.bincount(own, minlength=videos), np.bincount(own, late, videos), rung


class EventF1:
    """F1 of the runs of frames that score at least `THRESHOLD`, against the true events: the pair that overlaps most is taken
    first, each at most once, and counts if intersection over union is at least the bar."""

    def __init__(self, videos: Sequence[tuple[np.ndarray, np.ndarray]], index: Sequence[int]):
        self._index = np.asarray(index)
        counted = [_hits(runs(score >= THRESHOLD), runs(truth)) for score, truth in videos]
        self._hits = np.array([hits for hits, _, _ in counted])
        self._all = np.array([found + true for _, found, true in counted])

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """`event_f1_at_20_percent_iou` and so on, float (R,); nan where there is no event, neither a true nor a found one."""
        own = weights[:, self._index]
        hits, every = own @ self._hits, own @ self._all
        f1 = np.divide(2 * hits, every[:, None], out=np.full(hits.shape, np.nan), where=every[:, None] > 0)
        return {f"event_f1_at_{100 * bar:g}_percent_iou": f1[:, place] for place, bar in enumerate(TIOUS)}


def _hits(found: list[tuple[int, int]], true: list[tuple[int, int]]) -> tuple[list[int], int, int]:
    """Matches at each of `TIOUS`, the number of found runs and of true events."""
    pairs = []
    for one, (start, end) in enumerate(found):
        for other, (true_start, true_end) in enumerate(true):
            shared = min(end, true_end) - max(start, true_start)
            if shared > 0:
                pairs.append((shared / (end - start + true_end - true_start - shared), one, other))
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    taken: tuple[set[int], set[int]] = (set(), set())
    overlaps = []
    for overlap, one, other in pairs:
        if one not in taken[0] and other not in taken[1]:
            taken[0].add(one)
            taken[1].add(other)
            overlaps.append(overlap)
    return [sum(overlap >= bar for overlap in overlaps) for bar in TIOUS], len(found), len(true)
