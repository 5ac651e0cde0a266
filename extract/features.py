"""From frames to features: boxes by DETR, embeddings of crops and frame by CLIP. Free of files: the live part calls it too."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from aadc.extract.clip_model import load_clip
from aadc.extract.crops import square_boxes
from aadc.extract.detect import Detector
from aadc.extract.devices import at_once, onto
from aadc.extract.encode import ClipEncoder
from aadc.extract.settings import ExtractSettings, fingerprint
from aadc.extract.shards import ShardHeader
from aadc.extract.stats import Stats

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_FRAMES_AT_ONCE = 8
_SIDE_BY_SIDE = 4  # most groups of frames in work at a time; each takes memory of its own


class FrameEmbedder:
    """Both frozen models, ready for frames.

    Raises:
        UserError: a model is not there, cannot be reached, is damaged, or cannot serve.
    """

    def __init__(self, settings: ExtractSettings, device: str = "cpu"):
        dtype = _DTYPES[settings.precision]
        clip = load_clip(settings.clip)
        about_clip = {"source": clip.source, "weights": clip.weights, "preprocess": clip.preprocess_cfg}
        self.encoder = ClipEncoder(clip, device, dtype)
        del clip  # before the detector comes: its text side is not needed
        self.detector = Detector(settings.detector, settings.boxes, settings.threshold, device, dtype)
        self.settings = settings
        self.device = device
        self.models: dict[str, dict[str, Any]] = {
            "detector": {
                "source": self.detector.source,
                "feature": self.detector.feature,
                "weights": self.detector.weights,
                "preprocess": self.detector.preprocess,
                "class_names": {str(key): name for key, name in self.detector.class_names.items()},
            },
            "clip": about_clip,
        }

    @property
    def header(self) -> ShardHeader:
        """What shards made with this embedder say of themselves."""
        return ShardHeader(fingerprint(self.models, self.settings), self.models, self.settings.sampling())

    def __call__(self, rgb: np.ndarray, stats: Stats | None = None) -> dict[str, np.ndarray]:
        """Rows of the shard for frames of one video.

        Args:
            rgb: uint8 (n, H, W, 3).
            stats: told how long detecting and encoding took.
        Returns:
            scene (n, C), detr (n, D), count (n,), seen (n,), box (n, N, 4), score (n, N), class (n, N), crop (n, N, C),
            query (n, N, D), as in `shards`, float32 where the shard has floats.
        """
        threads = torch.get_num_threads()
        groups = min(_SIDE_BY_SIDE, threads, len(rgb)) if self.device == "cpu" else 1
        few = at_once(self.device, rgb.shape[1] * rgb.shape[2], _FRAMES_AT_ONCE)  # what is begun is finished, also after Ctrl-C
        rounds = -(-len(rgb) // (groups * few))
        parts = np.array_split(rgb, min(groups * rounds, len(rgb)))
        if groups == 1:
            done = [self._few(part) for part in parts]
        else:
            # Frames side by side instead of the halves of every product: nobody waits for anybody but at the block's end.
            try:
                with ThreadPoolExecutor(groups, initializer=torch.set_num_threads, initargs=(threads // groups,)) as pool:
                    done = list(pool.map(self._few, parts))
            finally:
                torch.set_num_threads(threads)  # a thread that sets its own number sets that of later threads, too
        for _, took in done:
            if stats is not None:
                stats.add_seconds(took, 1 / groups)
        return {name: np.concatenate([rows[name] for rows, _ in done]) for name in done[0][0]}

    def _few(self, rgb: np.ndarray) -> tuple[dict[str, np.ndarray], Stats]:
        stats = Stats()
        with stats.timed("detect"):
            frames_BCHW = onto(self.device, np.array(rgb)).permute(0, 3, 1, 2)
            found = self.detector(frames_BCHW)
            count, box = found.count.cpu().numpy(), found.box.cpu().numpy()
        with stats.timed("encode"):
            height, width = rgb.shape[1:3]
            pictures = []
            for frame_CHW, kept, box_N4 in zip(frames_BCHW, count, box, strict=True):
                pictures.append(frame_CHW)
                pictures += [frame_CHW[:, y0:y1, x0:x1] for x0, y0, x1, y1 in square_boxes(box_N4[:kept], width, height)]
            embedded = self.encoder(pictures).numpy()
        crop = np.zeros((len(rgb), self.settings.boxes, embedded.shape[1]), np.float32)
        first = np.cumsum(count + 1) - (count + 1)
        for index, (start, kept) in enumerate(zip(first, count, strict=True)):
            crop[index, :kept] = embedded[start + 1 : start + 1 + kept]
        rows = {
            "scene": embedded[first],
            "detr": found.encoder.cpu().numpy(),
            "count": count,
            "seen": found.seen.cpu().numpy(),
            "box": box,
            "score": found.score.cpu().numpy(),
            "class": found.class_id.cpu().numpy(),
            "crop": crop,
            "query": found.query.cpu().numpy(),
        }
        return rows, stats
