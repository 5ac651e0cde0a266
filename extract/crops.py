"""From a detected box to the piece of the frame that CLIP sees."""

import numpy as np


def square_boxes(box_cxcywh: np.ndarray, width: int, height: int) -> np.ndarray:
    """The smallest square around each box that the frame allows, in whole pixels.

    CLIP's own transform scales the shorter side and cuts the rest off, which takes head and feet from a standing
    person. A square crop keeps them, and keeps lying people wide and standing ones tall. A square is shifted, not shrunk,
    to lie inside the frame; where the box is longer than the frame's short side, that side is the limit and the crop
    is as long as the box (CLIP then sees its middle).

    Args:
        box_cxcywh: float (K, 4), centre and size relative to the frame, any finite values.
        width, height: of the frame, px.
    Returns:
        int64 (K, 4), x0 y0 x1 y1 in px, half-open, at least one pixel each way, inside the frame.
    """
    size_wh = np.array([width, height], np.float64)
    box = np.asarray(box_cxcywh, np.float64).reshape(-1, 4)
    low = np.clip(box[:, :2] - box[:, 2:] / 2, 0, 1) * size_wh
    high = np.clip(box[:, :2] + box[:, 2:] / 2, 0, 1) * size_wh
    extent = np.maximum(np.ceil(high) - np.floor(low), 1)
    side_wh = np.minimum(extent.max(1, keepdims=True), size_wh)
    start = np.clip(np.round((low + high - side_wh) / 2), 0, size_wh - side_wh)
    return np.concatenate([start, start + side_wh], 1).astype(np.int64)
