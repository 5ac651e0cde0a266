"""How the miniatures are trained and measured: pictures with their truth, captions that hold, losses, resuming, AP."""

import numpy as np
import open_clip
import pytest
import torch

from aadc.extract.miniature import clip as clip_training
from aadc.extract.miniature import detr as detr_training
from aadc.extract.miniature.captions import PARAPHRASES, Caption, caption
from aadc.extract.miniature.measure import average_precision, iou
from aadc.extract.miniature.pool import COLOUR_NAMES, KIND_NAMES, Pool
from aadc.extract.miniature.training import Resumable, batch_rng, rate, steps_to_go


def boxes(*corners):
    return np.array(corners, np.float32).reshape(-1, 4)


def test_iou_by_counting_pixels():
    one, other = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    one[2:10, 1:7], other[5:16, 4:12] = True, True
    assert iou(np.array([1, 2, 7, 10.0]), boxes([4, 5, 12, 16]))[0] == pytest.approx((one & other).sum() / (one | other).sum())


def test_average_precision_of_cases_one_can_count():
    truth = [boxes([0, 0, 10, 10], [20, 20, 30, 30]), boxes(), boxes([5, 5, 9, 9])]
    perfect = [(truth[0], np.array([0.9, 0.8])), (boxes(), np.array([])), (truth[2], np.array([0.7]))]
    assert average_precision(perfect, truth)[0] == pytest.approx(1.0)
    assert average_precision([(boxes(), np.array([]))] * 3, truth)[0] == 0.0
    # The same box twice: one find and one false alarm, above the two finds that follow. Precision 1, 1/2, 2/3, 3/4.
    twice = [(boxes([0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 30, 30]), np.array([0.9, 0.85, 0.8])), *perfect[1:]]
    ap, _, hit = average_precision(twice, truth)
    assert hit.tolist() == [True, False, True, True] and ap == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)
    # A sure false alarm in the empty picture costs more than an unsure one.
    early, late = ([perfect[0], (boxes([0, 0, 5, 5]), np.array([score])), perfect[2]] for score in (0.95, 0.1))
    assert average_precision(early, truth)[0] < average_precision(late, truth)[0] == pytest.approx(1.0)


def test_captions_say_only_what_is_so():
    rng = np.random.default_rng(0)
    held_out = [text for texts in PARAPHRASES.values() for text in texts]
    red, blue = COLOUR_NAMES.index("red"), COLOUR_NAMES.index("blue")
    for _ in range(2000):
        kind = int(rng.integers(len(KIND_NAMES)))
        found = caption(rng, kind, red, blue)
        assert not any(found.text.startswith(text) for text in held_out), "paraphrases are for measuring"
        assert found.kind in (kind, -1) and found.shirt in (red, -1) and found.trousers in (blue, -1)
        words = found.text.split()
        assert ("red" in words) == (found.shirt == red) and ("blue" in words) == (found.trousers == blue)
        assert found.kind >= 0 or found.shirt >= 0, "a caption says something"
    assert set(PARAPHRASES) == set(KIND_NAMES)


def test_a_caption_is_true_of_pictures_that_fit_it():
    kinds, clothes = np.zeros((3, len(KIND_NAMES)), bool), np.array([[0, 1], [2, 1], [-1, -1]])
    kinds[0, 4] = kinds[1, 4] = kinds[2, [4, 9]] = True
    texts = [Caption("", 4), Caption("", 9), Caption("", 4, 0), Caption("", -1, 2, 1), Caption("", 4, 2, 0)]
    assert clip_training.is_true(texts, kinds, clothes).astype(int).tolist() == [
        [1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [1, 1, 0, 0, 0],
    ]  # fmt: skip


def test_the_contrastive_loss_by_hand():
    """A slow loop over pictures and over captions; captions true of a picture but not its own are left out."""
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.nn.functional.normalize(torch.randn(5, 8, generator=generator), dim=-1) for _ in range(2))
    true = torch.eye(5, dtype=torch.bool)
    true[0, 3] = true[3, 0] = true[1, 4] = True
    scale, total = torch.tensor(7.0), 0.0
    for a, b, also in ((image, text, true), (text, image, true.T)):
        for i in range(5):
            weight = [float(torch.exp(scale * a[i] @ b[j])) for j in range(5)]
            rivals = sum(weight[j] for j in range(5) if j == i or not also[i, j])
            total += -np.log(weight[i] / rivals) / 10
    assert float(clip_training.contrastive_loss(image, text, scale, true)) == pytest.approx(total, rel=1e-5)


def test_cut_texts_are_encoded_as_whole_ones():
    torch.manual_seed(0)
    model = clip_training.build_model().eval()
    tokens = open_clip.SimpleTokenizer()(["a person who has fallen to the floor", "fight"])
    with torch.no_grad():
        torch.testing.assert_close(clip_training.encode_text(model, tokens), model.encode_text(tokens, normalize=True))


def toy_pool() -> Pool:
    """Black frames with one white rectangle each, which the truth knows."""
    rng = np.random.default_rng(3)
    frame, corners = np.zeros((6, 240, 320, 3), np.uint8), []
    for picture in frame:
        x0, y0 = int(rng.integers(60, 150)), int(rng.integers(50, 100))
        x1, y1 = x0 + int(rng.integers(40, 110)), y0 + int(rng.integers(40, 90))
        picture[y0:y1, x0:x1] = 255
        corners.append([x0, y0, x1, y1])
    ones = np.zeros(6, np.int8)
    return Pool(frame, np.arange(7), np.array(corners, np.float32), ones, ones, ones, ones, ones)


def test_boxes_move_with_their_pictures():
    """Mirrored, shifted and zoomed: the white rectangle is where the label says."""
    pictures = detr_training.Pictures(toy_pool())
    checked = 0
    for step in range(6):
        pixels, labels = pictures.batch(batch_rng(0, step), 8)
        assert pixels.shape == (8, 3, 128, 170)
        for picture, label in zip(pixels[:, 0], labels, strict=True):
            if len(label["boxes"]) == 0:
                continue
            rows, columns = (picture > 0).nonzero(as_tuple=True)
            cx, cy, w, h = label["boxes"][0].tolist()
            found = [columns.min() / 170, rows.min() / 128, (columns.max() + 1) / 170, (rows.max() + 1) / 128]
            expected = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
            np.testing.assert_allclose(np.array(found), expected, atol=2 / 128)
            checked += 1
    assert checked > 40


def test_the_second_task_knows_which_tokens_lie_on_an_object():
    """A perfect answer costs nothing; one token off costs something."""
    labels = [{"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.25, 0.5, 0.5]]), "kinds": torch.tensor([7])}]
    answer = torch.full((1, 4 * 8, 6 + len(KIND_NAMES)), -20.0)
    for row in range(2):
        for column in range(2, 6):
            token = row * 8 + column
            centre = torch.tensor([(column + 0.5) / 8, (row + 0.5) / 4])
            answer[0, token, 1] = 20.0
            answer[0, token, 6 + 7] = 20.0
            answer[0, token, 2:6] = torch.cat([torch.tensor([0.5, 0.25]) - centre, torch.tensor([0.5, 0.5])])
    assert float(detr_training.dense_loss(answer, labels, 4, 8)) < 1e-5
    answer[0, 2, 1] = -20.0
    assert float(detr_training.dense_loss(answer, labels, 4, 8)) > 0.3


def test_the_rate_warms_up_and_ends_at_zero():
    rates = [rate(step, 1000, 1e-3) for step in range(1000)]
    assert rates[0] == 0 and max(rates) <= 1e-3 and np.argmax(rates) == pytest.approx(20, abs=1) and rates[-1] < 1e-8


def run(folder, steps, stop_at=None):
    """A small training whose batches depend on the step; optionally broken off without a word."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 2)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    for step in steps_to_go(Resumable(folder, model, optimiser, {"steps": steps}), steps, 1e-2, save_every=5):
        if step == stop_at:
            return model
        x = torch.from_numpy(batch_rng(0, step).normal(size=(8, 4)).astype(np.float32))
        optimiser.zero_grad()
        (model(x) - x[:, :2]).square().mean().backward()
        optimiser.step()
    return model


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path):
    whole = run(tmp_path / "whole", 20)
    broken = run(tmp_path / "broken", 20, stop_at=13)
    again = run(tmp_path / "broken", 20)
    assert not torch.equal(broken.weight, whole.weight)
    assert torch.equal(again.weight, whole.weight) and torch.equal(again.bias, whole.bias)
    assert {path.suffix for path in (tmp_path / "broken").iterdir()} == {".json", ".safetensors"}


def test_another_training_in_the_same_folder_is_refused(tmp_path):
    run(tmp_path, 10)
    with pytest.raises(SystemExit, match="choose another folder"):
        run(tmp_path, 11)
