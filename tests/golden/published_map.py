"""The real test segments of both data sets with seeded predictions, what the published evaluation prints for them, and its
rules as a plain loop over sets of frames.

published_map.json: the published figures in percent at each IoU, and the lengths of the normal test videos (frames, in the
order of the official lists); the segments of abnormal ones come from the manifests. `python tests/golden/published_map.py
FOLDER` made it from a folder with the golden figures (map_iou.json, test_segments.json).
"""

import json
import sys
from pathlib import Path

import numpy as np

from aadc.manifests.manifest import read_manifest

HERE = Path(__file__).resolve().parent
RECORD = HERE / "published_map.json"
CODES = ["A", "B1", "B2", "B4", "B5", "B6", "G"]  # XD-Violence's, in the order of its card


def golden() -> dict:
    """iou, and by data set: seed, map_percent, normal_frames."""
    return json.loads(RECORD.read_text())


def real_truth(dataset: str) -> tuple[list, list, list[str]]:
    """Segments, labels and classes of the test split of `ucf` or `xd`, as the published evaluation has them: abnormal
    videos first, a normal one as a single segment `A`."""
    manifest = read_manifest(HERE.parents[1] / "manifests" / f"{dataset}.csv")
    classes = CODES if dataset == "xd" else manifest.card.names
    code = dict(zip(manifest.card.names, classes, strict=True))
    abnormal = [row for row in manifest.split("test") if manifest.card.is_abnormal(row.labels)]
    normal = golden()[dataset]["normal_frames"]
    segments = [[(span.start_frame, span.end_frame) for span in row.segments] for row in abnormal]
    labels = [[code[span.label] for span in row.segments] for row in abnormal]
    return segments + [[(0, frames)] for frames in normal], labels + [["A"]] * len(normal), classes


def real_predictions(dataset: str, segments: list, labels: list, classes: list[str]) -> list[np.ndarray]:
    """Softmax of noise that leans towards the truth, constant over every 16 frames; the draws that the figures belong to."""
    random = np.random.default_rng(golden()[dataset]["seed"])
    made = []
    for spans, names in zip(segments, labels, strict=True):
        normal = names[0] == "A"
        snippets = -(-max(end for _, end in spans) // 16) + (0 if normal else int(random.integers(0, 40)))
        logits = random.normal(0, 1, (snippets, len(classes)))
        for (start, end), name in zip(spans, names, strict=True):
            if name in classes:
                logits[start // 16 : end // 16 + 1, classes.index(name)] += random.uniform(0, 4)
        if normal:
            logits[:, 0] += random.uniform(0, 3)
        weight = np.exp(logits)
        made.append(np.repeat(weight / weight.sum(1, keepdims=True), 16, 0))
    return made


def plain_map(predictions, segments, labels, classes, iou) -> list[float]:
    """The published rules as docs/metrics.md states them, written the obvious way: every span a set of its frames."""
    result = []
    for bar in iou:
        precisions = []
        for column, name in enumerate(classes):
            proposals = _plain_proposals(predictions, column)
            if not proposals:
                return [0.0] * len(iou)
            left = [
                (video, set(range(*span)))
                for video, spans in enumerate(segments)
                for span, label in zip(spans, labels[video], strict=True)
                if label == name
            ]
            truths, hits, total = len(left), 0, 0.0
            for rank, (_, video, start, end) in enumerate(sorted(proposals, key=lambda proposal: -proposal[0]), 1):
                frames = set(range(start, end))
                best, best_iou = None, 0.0
                for number, (true_video, true_frames) in enumerate(left):
                    if true_video == video:
                        found = len(frames & true_frames) / len(frames | true_frames)
                        if found >= bar and found > best_iou:
                            best, best_iou = number, found
                if best is not None:
                    del left[best]
                    hits += 1
                    total += hits / rank
            precisions.append(total / truths if truths else 0.0)
        result.append(100 * float(np.mean(precisions)))
    return result


def _plain_proposals(predictions, column: int) -> list[tuple[float, int, int, int]]:
    proposals = []
    for video, values in enumerate(predictions):
        curve = values[:, column]
        strength = np.sort(curve)[::-1][: len(curve) // 16].mean()
        if strength <= 0:
            curve = np.zeros_like(curve)
        over = curve > curve.max() - 0.6 * (curve.max() - curve.min())
        edges = np.diff(np.concatenate([[False], over, [False]]).astype(int))
        for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
            if end - start >= 2:
                proposals.append((float(curve[start:end].max() + 0.7 * strength), video, int(start), int(end)))
    return proposals


def _make(folder: Path) -> None:
    truth, figures = (json.loads((folder / name).read_text()) for name in ("test_segments.json", "map_iou.json"))
    record = {"iou": figures["iou"]}
    for dataset in ("ucf", "xd"):
        normal = [video["segments"][0][1] for video in truth[dataset] if video["labels"] == ["A"]]
        record[dataset] = {key: figures[dataset][key] for key in ("seed", "map_percent")} | {"normal_frames": normal}
    RECORD.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
