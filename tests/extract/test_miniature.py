"""The miniatures mean something: boxes lie on figures, crops are nearest to their own words, colours and preprocessing matter.

Scenes here come from a world of their own: neither model was trained on a room or a figure of it.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from aadc.extract.clip_model import load_clip
from aadc.extract.crops import square_boxes
from aadc.extract.detect import Detector
from aadc.extract.encode import ClipEncoder
from aadc.extract.miniature.captions import PARAPHRASES
from aadc.extract.miniature.measure import iou, text_features
from aadc.extract.miniature.pool import CATEGORIES, KIND_NAMES, Pool, make_pool, open_pool
from aadc.extract.model_names import place
from aadc.manifests.scenes.kinds import KINDS

FOLDERS = {"detector": Path(place("miniature", "detr")), "clip": Path(place("miniature", "clip"))}
SCENES = range(28)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Pool:
    path = tmp_path_factory.mktemp("pool") / "pool.h5"
    make_pool(path, "test-miniature", SCENES)
    return open_pool(path)


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    return ClipEncoder(load_clip(str(FOLDERS["clip"])))


def crops(pool: Pool, chosen: np.ndarray) -> list[torch.Tensor]:
    """The squares around some boxes, RGB uint8 (3, h, w)."""
    height, width = pool.frame.shape[1:3]
    frame_of = np.searchsorted(pool.first, np.arange(len(pool.box)), "right") - 1
    pictures = []
    for row in np.flatnonzero(chosen):
        x0, y0, x1, y1 = pool.box[row]
        box = np.array([[(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]])
        left, top, right, bottom = square_boxes(box, width, height)[0]
        pictures.append(torch.from_numpy(pool.frame[frame_of[row], top:bottom, left:right].copy()).permute(2, 0, 1))
    return pictures


def nearest(pictures_KC: np.ndarray, texts_TC: np.ndarray) -> np.ndarray:
    """Index of the text nearest to each picture (texts are normalised, so the picture's length does not matter)."""
    return (pictures_KC @ texts_TC.T).argmax(1)


def hits(detector: Detector, pool: Pool, frames: np.ndarray) -> tuple[float, float]:
    """Recall and precision for persons at IoU 0.5, a slow clear loop."""
    person = next(index for index, name in detector.class_names.items() if name == "person")
    found = detector(torch.from_numpy(frames.copy()).permute(0, 3, 1, 2))
    right, said, there = 0, 0, 0
    for index in range(len(pool)):
        truth = [pool.box[row] for row in range(pool.rows(index).start, pool.rows(index).stop) if pool.category[row] == 0]
        boxes = []
        for k in range(int(found.count[index])):
            if found.class_id[index, k] == person:
                cx, cy, w, h = found.box[index, k].numpy()
                boxes.append(np.array([(cx - w / 2) * 320, (cy - h / 2) * 240, (cx + w / 2) * 320, (cy + h / 2) * 240]))
        right += sum(iou(one, np.array(boxes)).max() >= 0.5 for one in truth if boxes)
        said, there = said + len(boxes), there + len(truth)
    return right / there, right / max(1, said)


def test_the_shipped_weights_are_small_and_nothing_is_pickled():
    files = [path for folder in FOLDERS.values() for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files if path.suffix == ".safetensors") <= 12e6
    assert {path.suffix for path in files} == {".safetensors", ".json"}


def test_the_detector_knows_persons_by_name_and_brings_its_own_size():
    detector = Detector(str(FOLDERS["detector"]), boxes=5, threshold=0.5)
    assert tuple(detector.class_names.values()) == CATEGORIES
    size = json.loads((FOLDERS["detector"] / "preprocessor_config.json").read_text())["size"]
    small = detector.preprocess_frames(torch.zeros(1, 3, 240, 320, dtype=torch.uint8))["pixel_values"]
    assert min(small.shape[2:]) == size["shortest_edge"]


def test_boxes_lie_on_the_figures(pool):
    recall, precision = hits(Detector(str(FOLDERS["detector"]), boxes=5, threshold=0.5), pool, pool.frame[:])
    assert recall >= 0.8 and precision >= 0.8


def test_the_detector_needs_its_own_normalisation(pool):
    detector = Detector(str(FOLDERS["detector"]), boxes=5, threshold=0.5)
    detector.processor.do_normalize = False
    recall, _ = hits(detector, pool, pool.frame[:])
    assert recall < 0.6


def test_a_crop_is_nearest_to_the_words_of_its_kind(pool, encoder):
    right = nearest(encoder(crops(pool, pool.kind >= 0)).numpy(), text_features(FOLDERS["clip"], [k.prompt for k in KINDS]))
    assert (right == pool.kind).mean() >= 0.75


def test_paraphrases_lose_little(pool, encoder):
    pictures = encoder(crops(pool, pool.kind >= 0)).numpy()
    sets = ([kind.prompt for kind in KINDS], *zip(*(PARAPHRASES[name] for name in KIND_NAMES), strict=True))
    by_prompt, *by_paraphrase = ((nearest(pictures, text_features(FOLDERS["clip"], one)) == pool.kind).mean() for one in sets)
    assert np.mean(by_paraphrase) >= by_prompt - 0.1


def test_a_fall_is_nearer_to_its_own_words_than_to_any_other(pool, encoder):
    falls = encoder(crops(pool, pool.kind == KIND_NAMES.index("fall"))).numpy()
    falls /= np.linalg.norm(falls, axis=1, keepdims=True)
    others = [kind.prompt for kind in KINDS if kind.name != "fall"]
    mean = (falls @ text_features(FOLDERS["clip"], ["someone has fallen down", *others]).T).mean(0)
    assert len(falls) >= 10 and mean[0] > mean[1:].max() + 0.05


def test_swapping_red_and_blue_is_noticed(pool, encoder):
    """Shirts are told apart by their colour; with the channels swapped, a red shirt is a blue one."""
    from aadc.extract.miniature.pool import COLOUR_NAMES

    colours = [COLOUR_NAMES.index(name) for name in ("red", "blue")]
    chosen = np.isin(pool.shirt, colours) & ~np.isin(pool.kind, [KIND_NAMES.index(name) for name in ("fight", "abandoned bag")])
    texts = text_features(FOLDERS["clip"], ["a person in a red shirt", "a person in a blue shirt"])
    truth = (pool.shirt[chosen] == colours[1]).astype(int)
    pictures = crops(pool, chosen)
    assert len(truth) >= 20 and 0 < truth.mean() < 1
    assert (nearest(encoder(pictures).numpy(), texts) == truth).mean() >= 0.8
    assert (nearest(encoder([picture.flip(0) for picture in pictures]).numpy(), texts) == truth).mean() <= 0.4


def test_skipping_normalisation_is_noticed(pool, encoder):
    """The raw pixels, scaled to [0, 1] but not normalised, lose much of what the model knows."""
    pictures = crops(pool, pool.kind >= 0)
    texts = text_features(FOLDERS["clip"], [kind.prompt for kind in KINDS])
    normalised = torch.stack([encoder.preprocess(picture) for picture in pictures])
    raw = normalised * encoder.std + encoder.mean
    with torch.inference_mode():
        right, wrong = ((nearest(encoder.visual(one).numpy(), texts) == pool.kind).mean() for one in (normalised, raw))
    assert wrong < right - 0.15
