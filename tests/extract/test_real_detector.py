"""A detector with trained weights through our path: what onnxruntime makes of the same weights, box by box."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.ops import box_convert, box_iou

pytest.importorskip("transformers.models.deimv2", reason="this transformers does not have the architecture")
sys.path.insert(0, str(Path(__file__).parent))
import deimv2

from aadc.extract.detect import Detections, Detector
from aadc.manifests.errors import UserError

SHARED = Path(__file__).parents[2].parent / "shared"
MODELS, CLIPS = SHARED / "models" / "deimv2", SHARED / "data" / "fights"
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(
    not MODELS.is_dir() or not CLIPS.is_dir(), reason="the trained detectors or the clips are not here"
)
FIGHTS = int(os.environ.get("AADC_FIGHTS", "10"))  # of 100; all of them take minutes
LEAST, SURE = 0.3, 0.05  # scores: of a box that is compared, and of one that onnxruntime may match it with


@dataclass
class Trained:
    """One model both ways: our detector on its folder in transformers' layout, onnxruntime on the file itself."""

    detector: Detector
    session: object
    side: int

    def theirs(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of one picture: class (300,), box (300, 4) as corners within the frame, score (300,)."""
        inputs = {"images": pixels_BCHW.numpy(), "orig_target_sizes": np.ones((1, 2), np.int64)}
        labels, boxes, scores = (torch.from_numpy(values[0]) for values in self.session.run(None, inputs))
        return labels, boxes.clamp(0, 1), scores


@pytest.fixture(scope="module", params=deimv2.SIDES)
def trained(request, tmp_path_factory) -> Trained:
    file, folder = MODELS / f"deimv2_hgnetv2_{request.param}_coco.onnx", tmp_path_factory.mktemp(request.param)
    deimv2.save_as_transformers(file, request.param, folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(file), options)
    return Trained(Detector(str(folder), 300, LEAST), session, deimv2.SIDES[request.param])


def pictures() -> list[Tensor]:
    """scikit-learn's two, RGB uint8 (1, 3, H, W) each."""
    return [torch.from_numpy(image.copy()).permute(2, 0, 1)[None] for image in load_sample_images().images]


def frames(kind: str, every: int, most: int = 3) -> Iterator[list[Tensor]]:
    """Of each clip of a kind (every so many-th of them) the first, middle and last frame, or fewer."""
    for path in sorted((CLIPS / kind).iterdir())[::every]:
        with av.open(str(path)) as container:
            all_frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        chosen = np.unique(np.linspace(0, len(all_frames) - 1, most).astype(int))
        yield [torch.from_numpy(all_frames[place]).permute(2, 0, 1)[None] for place in chosen]


def corners(found: Detections) -> Tensor:
    return box_convert(found.box[0, : int(found.count[0])], "cxcywh", "xyxy")


def compare(trained: Trained, picture: Tensor) -> list[tuple[float, float]]:
    """For each box of either side that is as likely as `LEAST`: IoU and difference of scores with its like on the other side.

    Ours is a box for each query, with its likeliest class; theirs one for each query and class. A box of theirs that lies on
    one of ours of another, likelier class is that query's second class.
    """
    ours = trained.detector(picture)
    labels, boxes, scores = trained.theirs(trained.detector.preprocess_frames(picture)["pixel_values"])
    found, own = [], corners(ours)
    for box, score, label in zip(own, ours.score[0], ours.class_id[0], strict=False):
        same = (labels == label) & (scores > SURE)
        iou = box_iou(box[None], boxes)[0].where(same & ((scores - score).abs() < 0.01), 0)
        found.append((float(iou.max()), float((scores[iou.argmax()] - score).abs())))
    own_iou = box_iou(boxes, own) if len(own) else torch.zeros(len(boxes), 0)
    for row, label, score in zip(own_iou, labels, scores, strict=True):
        if score >= LEAST + 1e-3:  # just at the threshold either may be right
            count = len(own)
            classes, ours_scores = ours.class_id[0, :count], ours.score[0, :count]
            like = ((classes == label) & ((ours_scores - score).abs() < 0.01)) | (
                (classes != label) & (ours_scores > score - 1e-3)
            )
            found.append((float(row.where(like, 0).max()) if count else 0.0, 0.0))
    return found


def test_a_trained_detector_answers_as_onnxruntime_does(trained):
    """Pictures of a city and of a flower, and frames of fights: box by box, in both directions; and people are found."""
    some = [one for group in [pictures(), *frames("fight", 100 // FIGHTS, 1), *frames("noFight", 25, 1)] for one in group]
    pairs = [pair for picture in some for pair in compare(trained, picture)]
    clips = [any_person(trained, clip) for clip in frames("fight", 100 // FIGHTS)]
    least, most = min(iou for iou, _ in pairs), max(difference for _, difference in pairs)
    print(f"\n| {len(some)} pictures of side {trained.side} | {len(pairs)} boxes | IoU {least:.5f} | score {most:.1e} | "
          f"people in {sum(clips)} of {len(clips)} clips |")  # fmt: skip
    assert len(pairs) > 100
    assert least >= 0.99 and most <= 1e-3
    assert sum(clips) >= 0.9 * len(clips)


def any_person(trained: Trained, clip: list[Tensor]) -> bool:
    return any(0 in found.class_id[0, : int(found.count[0])] for found in map(trained.detector, clip))


def test_pixels_are_what_the_models_were_trained_on(trained):
    """RGB over 255, brought to a square as PIL does it."""
    for picture in pictures():
        side = trained.side
        image = Image.fromarray(picture[0].permute(1, 2, 0).numpy()).resize((side, side), Image.Resampling.BILINEAR)
        plain = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255
        made = trained.detector.preprocess_frames(picture)["pixel_values"][0]
        assert (made - plain).abs().max() < 2.5 / 255


def test_the_rearranged_model_is_used(trained):
    """Folding and packing change nothing of a trained model's answer, so none of it had to be given up."""
    from aadc.extract.packed import can_pack

    kinds = {type(module).__name__ for module in trained.detector.model.modules()}
    assert "Deimv2FrozenBatchNorm2d" not in kinds and "BatchNorm2d" not in kinds
    assert ("PackedConv2d" in kinds) == can_pack("cpu", torch.float32)


def test_several_frames_at_once_are_each_as_alone(trained):
    clip = next(frames("fight", 100, 4))
    together = trained.detector(torch.cat(clip))
    for place, frame in enumerate(clip):
        alone = trained.detector(frame)
        assert together.count[place] == alone.count[0] and torch.equal(together.class_id[place], alone.class_id[0])
        torch.testing.assert_close(together.box[place], alone.box[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(together.query[place], alone.query[0], atol=1e-2, rtol=1e-2)


def test_transformers_own_class_lacks_weights_and_is_refused(trained, tmp_path):
    """The published class normalises once more than these weights know; nothing is filled in at random."""
    source = Path(trained.detector.source)
    for file in source.iterdir():
        content = file.read_bytes().replace(b"deimv2_lite", b"deimv2").replace(b"LiteDetector", b"Deimv2ForObjectDetection")
        (tmp_path / file.name).write_bytes(content)
    with pytest.raises(UserError, match="weights lack .*enc_output"):
        Detector(str(tmp_path), 10, LEAST)


def test_a_precision_that_a_model_cannot_bear_is_refused(trained):
    """In bf16 a model may answer with what is no number, for which no box would ever be found: it is refused, or it finds what
    it finds in fp32."""
    try:
        halved = Detector(trained.detector.source, 10, LEAST, dtype=torch.bfloat16)
    except UserError as error:
        assert "in bfloat16 the detector computes numbers that are not finite; take --precision fp32" in str(error)
        return
    for picture in pictures():
        box, other = corners(trained.detector(picture))[:1], corners(halved(picture))[:1]
        assert box_iou(box, other) > 0.9
