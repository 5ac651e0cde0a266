"""What the miniatures are worth on scenes they never saw: other seeds, rooms, figures. Uses nothing of the training code
but the pool of pictures; the models run through the same classes as in extraction."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aadc.extract.clip_model import load_clip
from aadc.extract.crops import square_boxes
from aadc.extract.detect import Detector
from aadc.extract.encode import ClipEncoder
from aadc.extract.miniature.captions import PARAPHRASES
from aadc.extract.miniature.pool import CATEGORIES, KIND_NAMES, Pool
from aadc.manifests.scenes.kinds import KINDS


@dataclass(frozen=True)
class DetectorFigures:
    """AP50 over all confidences, recall and precision at confidence 0.5 and IoU 0.5, of one category."""

    ap50: float
    recall: float
    precision: float


@dataclass(frozen=True)
class ClipFigures:
    """Zero-shot top-1 over all crops by the card's prompts and by every set of paraphrases, the mean over kinds of the
    first, and the top-1 of every kind."""

    prompts: float
    paraphrases: tuple[float, ...]
    mean_over_kinds: float
    of_kind: dict[str, float]


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with many (K, 4), x0 y0 x1 y1."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(-1) - shared)


def average_precision(
    found: Sequence[tuple[np.ndarray, np.ndarray]], truth: Sequence[np.ndarray], threshold: float = 0.5
) -> tuple[float, np.ndarray, np.ndarray]:
    """AP at one IoU threshold, every point of the precision envelope counted (PASCAL VOC from 2010 on).

    Args:
        found: per picture, boxes (K, 4) x0 y0 x1 y1 and scores (K,).
        truth: per picture, boxes (M, 4). Every one can be found once, by the best-scored box that overlaps it most.
    Returns:
        AP, the scores of all boxes in falling order, and whether each hit.
    """
    order = sorted(((s, i, k) for i, (_, scores) in enumerate(found) for k, s in enumerate(scores)), key=lambda item: -item[0])
    taken = [np.zeros(len(boxes), bool) for boxes in truth]
    hit = np.zeros(len(order), bool)
    for place, (_, picture, k) in enumerate(order):
        if not len(truth[picture]):
            continue
        overlap = np.where(taken[picture], 0, iou(found[picture][0][k], truth[picture]))
        best = int(overlap.argmax())
        if overlap[best] >= threshold:
            taken[picture][best] = hit[place] = True
    true = np.cumsum(hit)
    recall, precision = true / max(1, sum(map(len, truth))), true / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    ap = float((np.diff(recall, prepend=0.0) * envelope).sum())
    return ap, np.array([score for score, _, _ in order]), hit


def measure_detector(folder: Path, pool: Pool) -> dict[str, DetectorFigures]:
    """Figures of every category over all frames of a pool."""
    detector = Detector(str(folder), boxes=100, threshold=0.0)
    height, width = pool.frame.shape[1:3]
    pixels = np.array([width, height, width, height])
    found: dict[str, list] = {name: [] for name in CATEGORIES}
    for start in range(0, len(pool), 16):
        result = detector(torch.from_numpy(pool.frame[start : start + 16].copy()).permute(0, 3, 1, 2))
        for kept, box, score, class_id in zip(result.count, result.box, result.score, result.class_id, strict=True):
            centre, size = box[:kept, :2].numpy(), box[:kept, 2:].numpy()
            corners = np.concatenate([centre - size / 2, centre + size / 2], 1) * pixels
            for index, name in detector.class_names.items():
                chosen = (class_id[:kept] == index).numpy()
                found[name].append((corners[chosen], score[:kept].numpy()[chosen]))
    figures = {}
    for category, name in enumerate(CATEGORIES):
        truth = [pool.box[pool.rows(i)][pool.category[pool.rows(i)] == category] for i in range(len(pool))]
        ap, scores, hit = average_precision(found[name], truth)
        sure = scores >= 0.5
        figures[name] = DetectorFigures(ap, hit[sure].sum() / sum(map(len, truth)), hit[sure].mean() if sure.any() else 0.0)
    return figures


def text_features(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """Normalised features (K, C) of some texts."""
    clip = load_clip(str(folder))
    with torch.inference_mode():
        return clip.model.encode_text(clip.tokenizer(list(texts)), normalize=True).numpy()


def crop_features(folder: Path, pool: Pool) -> np.ndarray:
    """Normalised features (R, C) of the square around every box of a pool."""
    encoder = ClipEncoder(load_clip(str(folder)))
    height, width = pool.frame.shape[1:3]
    features = []
    for index in range(len(pool)):
        box = pool.box[pool.rows(index)]
        low, high = box[:, :2] / (width, height), box[:, 2:] / (width, height)
        squares = square_boxes(np.concatenate([(low + high) / 2, high - low], 1), width, height)
        frame = torch.from_numpy(pool.frame[index].copy()).permute(2, 0, 1)
        features.append(encoder([frame[:, y0:y1, x0:x1] for x0, y0, x1, y1 in squares]).numpy())
    all_features = np.concatenate(features)
    return all_features / np.linalg.norm(all_features, axis=1, keepdims=True)


def measure_clip(folder: Path, pool: Pool) -> ClipFigures:
    """Zero-shot figures over all crops of a pool."""
    crops = crop_features(folder, pool)

    def right(texts: Sequence[str]) -> np.ndarray:
        return (crops @ text_features(folder, texts).T).argmax(1) == pool.kind

    by_prompt = right([kind.prompt for kind in KINDS])
    by_paraphrase = [right(texts) for texts in zip(*(PARAPHRASES[name] for name in KIND_NAMES), strict=True)]
    of_kind = {name: float(by_prompt[pool.kind == index].mean()) for index, name in enumerate(KIND_NAMES)}
    return ClipFigures(
        prompts=float(by_prompt.mean()),
        paraphrases=tuple(float(one.mean()) for one in by_paraphrase),
        mean_over_kinds=float(np.mean(list(of_kind.values()))),
        of_kind=of_kind,
    )
