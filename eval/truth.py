"""Frame truth of a test video, and how snippet scores become frame scores: one rule each, stated here."""

import numpy as np

from aadc.manifests.card import Card
from aadc.manifests.manifest import Row


def expand(snippet_values: np.ndarray, frames: int, stride: int) -> np.ndarray:
    """Values of T snippets (T, …) -> values of `frames` frames (frames, …).

    Frame f takes the value of snippet f // stride, the one it belongs to by the sampling rule; frames past the last
    snippet (an official count may be larger than what decodes) keep the last snippet's value. Every frame has a value:
    published code leaves out the last frames mod 16.
    """
    row = np.minimum(np.arange(frames) // stride, len(snippet_values) - 1)
    return snippet_values[row]


def label_spans(row: Row, frames: int, card: Card) -> list[tuple[int, int, str]]:
    """Abnormal segments of a row as (start_frame, end_frame, label), half-open, cut at the video's end."""
    spans = [
        (segment.start_frame, frames if segment.end_frame is None else min(segment.end_frame, frames), segment.label)
        for segment in row.segments
        if card.kind(segment.label) == "abnormal"
    ]
    return [(start, end, label) for start, end, label in spans if start < end]


def has_frame_truth(row: Row, card: Card) -> bool:
    """Whether every frame of the video is known to be normal or not: normal videos, and abnormal ones with segments."""
    return not card.is_abnormal(row.labels) or any(card.kind(segment.label) == "abnormal" for segment in row.segments)


def frame_truth(row: Row, frames: int, card: Card) -> np.ndarray:
    """bool (frames,): True where an abnormal segment lies. Only meaningful where `has_frame_truth`."""
    truth = np.zeros(frames, bool)
    for start, end, _ in label_spans(row, frames, card):
        truth[start:end] = True
    return truth
