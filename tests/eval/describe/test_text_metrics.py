"""BLEU, ROUGE-L and CIDEr of descriptions beside references, against plain computations, and what is wrong with a file."""

import json
import math
from collections import Counter

import pytest

from aadc.eval.describe.text_metrics import read_references, text_figures
from aadc.manifests.errors import UserError

pytest.importorskip("pycocoevalcap")

SAID = {
    "Abuse/Abuse028_x264.mp4": "The video shows a man who hits a dog.",
    "b.mp4": "Normal activities from 00:00 to 01:10!",
    "unknown.mp4": "Nothing.",
}
WRITTEN = {
    "Abuse028_x264": ["A man hits a small dog.", "The man hits the dog"],
    "b.mp4": ["normal activities with two people, from 00:00 to 01:10"],
    "elsewhere": ["x"],
}


def words(text: str) -> list[str]:
    return text.lower().replace(".", "").replace(",", "").replace("!", "").split()


def plain_bleu(order: int) -> float:
    """Corpus BLEU: clipped n-gram precisions, their geometric mean, brevity by the closest reference."""
    pairs = [(words(SAID["Abuse/Abuse028_x264.mp4"]), [words(one) for one in WRITTEN["Abuse028_x264"]]),
             (words(SAID["b.mp4"]), [words(one) for one in WRITTEN["b.mp4"]])]  # fmt: skip
    log_precision = 0.0
    for n in range(1, order + 1):
        hits = total = 0
        for said, references in pairs:
            grams = Counter(tuple(said[i : i + n]) for i in range(len(said) - n + 1))
            most = Counter()
            for one in references:
                most |= Counter(tuple(one[i : i + n]) for i in range(len(one) - n + 1))
            hits += sum((grams & most).values())
            total += sum(grams.values())
        log_precision += math.log(hits / total) / order
    length = sum(len(said) for said, _ in pairs)
    closest = sum(min((abs(len(one) - len(said)), len(one)) for one in references)[1] for said, references in pairs)
    return min(1.0, math.exp(1 - closest / length)) * math.exp(log_precision)


def test_bleu_equals_a_plain_computation():
    figures = text_figures(SAID, WRITTEN)
    assert figures["videos"] == 2
    for order in (1, 2):
        assert figures[f"bleu_{order}"] == pytest.approx(plain_bleu(order), rel=1e-6)


def longest_common(one: list[str], other: list[str]) -> int:
    if not one or not other:
        return 0
    if one[-1] == other[-1]:
        return longest_common(one[:-1], other[:-1]) + 1
    return max(longest_common(one[:-1], other), longest_common(one, other[:-1]))


def test_rouge_equals_a_plain_computation():
    """F with beta 1.2 of the longest common subsequence: best precision and best recall over the references."""
    values = []
    for video, name in (("Abuse/Abuse028_x264.mp4", "Abuse028_x264"), ("b.mp4", "b.mp4")):
        said = words(SAID[video])
        common = [(longest_common(said, words(one)), len(words(one))) for one in WRITTEN[name]]
        precision, recall = max(hit / len(said) for hit, _ in common), max(hit / length for hit, length in common)
        values.append((1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision))
    assert text_figures(SAID, WRITTEN)["rouge_l"] == pytest.approx(sum(values) / 2, rel=1e-6)


def test_cider_prefers_what_people_wrote():
    same = {
        video: text for video, (text, *_) in {"a.mp4": ["a man hits a dog"], "b.mp4": ["two people walk in a hall"]}.items()
    }
    references = {"a.mp4": ["a man hits a dog"], "b.mp4": ["two people walk in a hall"]}
    swapped = {"a.mp4": same["b.mp4"], "b.mp4": same["a.mp4"]}
    assert text_figures(same, references)["cider"] > 5 > 0.5 > text_figures(swapped, references)["cider"]


def test_uca_s_sentences_are_one_text_in_order_of_time(tmp_path):
    path = tmp_path / "uca.json"
    entry = {"duration": 30.0, "timestamps": [[10.0, 20.0], [0.0, 9.5]], "sentences": ["He falls.", "A man walks."]}
    path.write_text(json.dumps({"Fall001": entry, "b": "One text.", "c": ["Two", "texts"], "d": [" "]}))
    assert read_references(path) == {"Fall001": ["A man walks. He falls."], "b": ["One text."], "c": ["Two", "texts"]}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("[", "not a JSON file"),
        ("[1]", "not a set of named values"),
        ('{"a": {"timestamps": [[0, 1]], "sentences": []}}', "0 sentences but 1 timestamps"),
        ('{"a": 3}', "a "),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, content, what):
    path = tmp_path / "references.json"
    path.write_text(content)
    with pytest.raises(UserError, match=what):
        read_references(path)


def test_references_of_other_videos_are_refused():
    with pytest.raises(UserError, match="none of the 3 videos has a text among the 1 references"):
        text_figures(SAID, {"elsewhere": ["x"]})
