"""How much a picture looks like some words: the one rule, of `aadc-find` for videos and of the live part for events.

A picture is as similar as the most similar thing in it, the whole frame or one of its boxes. Needs numpy alone.
"""

import numpy as np


def likeness(things_TNC: np.ndarray, count_T: np.ndarray, text_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest cosine of each picture (T,), and what has it: 0 the whole frame, n > 0 its box n - 1.

    Args:
        things_TNC: CLIP's embeddings, float (T, N, C), any length: of the whole frame first, then of its boxes.
        count_T: how many boxes each has; what follows them is not looked at.
        text_C: CLIP's embedding of the words, of length 1.
    """
    things = things_TNC.astype(np.float32, copy=False)
    length = np.maximum(np.linalg.norm(things, axis=-1), 1e-9)
    cosine = things @ text_C / length
    cosine[np.arange(things.shape[1]) > count_T[:, None]] = -1
    return cosine.max(1), cosine.argmax(1)
