"""`aadc-metrics` as it is typed: without torch, the same figures as aadc-eval, paired differences, rows for papers."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_evaluate import card, perfect, rows_of
from test_given_scores import CARD, rows

from aadc.eval.bootstrap import paired
from aadc.eval.evaluate import evaluate as evaluate_split
from aadc.eval.figure_row import latex, row_of
from aadc.eval.given_figures import evaluate
from aadc.eval.scores import write_scores
from aadc.eval.span_lists import which_spans
from aadc.manifests.manifest import Manifest, Row, write_manifest
from aadc.manifests.official import shipped

SHARED = Path(__file__).parents[2].parent / "shared"
TOTALS = {  # frames and anomalous ones of UCF-Crime's test set, as known of the families' own files (docs/metrics.md)
    "vadclip": (1_109_872, 84_160),
    "rtfm": (1_114_144, None),
    "lavad": (1_111_808, None),
    "xdviodet": (None, 84_128),
}

WITHOUT = """
import sys
for name in ("torch", "torchvision", "transformers", "open_clip", "timm", "av", "matplotlib", "sklearn", "h5py"):
    sys.modules[name] = None  # an import of it fails, as where it is not installed
sys.argv[0] = "aadc-metrics"
from aadc.eval.cli.metrics import main
main()
"""


def run(*words: object, code: str = WITHOUT) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A manifest of 12 abnormal and 12 normal videos, scores `one.npz` and, with more noise, `other.npz`."""
    path, random = tmp_path_factory.mktemp("command"), np.random.default_rng(0)
    made, scores = [], {"one": {}, "other": {}}
    for number in range(24):
        abnormal = number % 2
        name, truth = f"v{number}", np.zeros(20)
        truth[5:10] = abnormal
        spans = "80-160:Fall" if abnormal else ""
        made.append(Row(video=f"{name}.mp4", split="test", labels=["Normal", "Fall"][abnormal], segments=spans, frames=325))
        noise = random.random(20)
        scores["one"][name] = 0.25 * truth + 0.5 * noise
        scores["other"][name] = 0.1 * truth + 0.5 * noise + 0.1 * random.random(20)
    write_manifest(made, CARD, path / "m.csv")
    for name, values in scores.items():
        np.savez(path / f"{name}.npz", **values)
    return path


def test_without_torch_it_prints_and_keeps_everything(folder, tmp_path):
    done = run(folder / "one.npz", folder / "m.csv", "--against", folder / "other.npz", "--protocol", "rtfm", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    for heading in ("protocol rtfm: frames rounded up", "protocol rtfm: 24 videos", "protocol rtfm: one minus other"):
        assert heading in done.stdout
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert record["frame"]["frames"] == 24 * 336 and record["frame"]["auc"] > 0.7
    apart = json.loads((tmp_path / "against.json").read_text())["auc"]
    assert apart["difference"] == pytest.approx(apart["first"] - apart["second"]) and apart["turns"] < 0.05
    assert (tmp_path / "row.md").read_text().count("\n") == 5 and "one & " in (tmp_path / "row.tex").read_text()
    assert f"| one | {100 * record['frame']['auc']:.2f}" in done.stdout


def test_what_it_loads(folder):
    """The notebooks' module too: neither torch nor anything that it does not need."""
    code = f"""
import sys
import aadc.metrics
figures = aadc.metrics.evaluate({str(folder / "one.npz")!r}, {str(folder / "m.csv")!r}, "vadclip")
figures.against(figures)
print(sorted({{name.partition(".")[0] for name in sys.modules}} & {{"torch", "h5py", "sklearn", "scipy", "matplotlib", "av"}}))
"""
    assert run(code=code).stdout.strip() == "[]"


def test_status_and_sentence(folder, tmp_path):
    with np.load(folder / "one.npz") as file:
        np.savez(tmp_path / "few.npz", **{name: file[name] for name in list(file)[:-1]})
    done = run(tmp_path / "few.npz", folder / "m.csv")
    assert done.returncode == 1 and "1 of 24 test videos have no scores: v23.mp4" in done.stdout
    for words in (["none.npz", folder / "m.csv"], [folder / "one.npz", "nowhere.csv"], [folder / "one.npz", "ucf"]):
        done = run(*words)
        assert done.returncode == 2 and done.stderr.startswith("aadc-metrics: ") and "Traceback" not in done.stderr


def test_scores_of_aadc_eval_give_aadc_evals_figures(tmp_path):
    """Through the file that it writes: the same to the last digit. What a head says of a whole video is not in it."""
    classes = card("walk", "fall", "fight")
    made = [row.model_copy(update={"frames": 160}) for row in rows_of(classes)]
    split = perfect(made, classes)
    random = np.random.default_rng(0)
    for one in split.scored.values():
        one.snippets.anomaly[:] = random.random(10).astype(np.float32)
        one.snippets.classes[:] = random.dirichlet(np.ones(3), 10).astype(np.float32)
    write_manifest(made, classes, tmp_path / "m.csv")
    write_scores(split.scored, classes.names, 16, tmp_path, {"stride": 16, "head": {"config": {"k": 5}}})
    found, own = evaluate(tmp_path / "scores.h5", tmp_path / "m.csv", fps=25.0), evaluate_split(split, with_map=True)
    assert (found["frame"], found["class"], found["map"]) == (own["frame"], own["class"], own["map"])


def test_paired_differences_are_those_of_naive_draws(folder):
    """The same draws of videos for both, recomputed one after the other."""
    one, other = (evaluate(folder / f"{name}.npz", folder / "m.csv") for name in ("one", "other"))
    found = one.against(other)["auc"]
    random, naive = np.random.default_rng(5), []
    from sklearn.metrics import roc_auc_score

    for _ in range(150):
        drawn = random.integers(0, 24, 24)
        pair = []
        for figures in (one, other):
            videos = [figures.split.videos[place] for place in drawn]
            pair.append(roc_auc_score(np.concatenate([v.truth for v in videos]), np.concatenate([v.score for v in videos])))
        naive.append(pair[0] - pair[1])
    width = found.interval[1] - found.interval[0]
    assert found.interval == pytest.approx(np.percentile(naive, [2.5, 97.5]), abs=0.3 * width)
    assert width < sum(np.subtract(*figures["interval"]["auc"][::-1]) for figures in (one, other)) / 2


def test_the_sign_turns_as_often_as_it_does():
    """A figure that is the share of drawn videos below 12 against a constant: counted by hand over the same draws."""
    share = lambda weights: {"x": weights[:, :12].sum(1) / weights.sum(1)}  # noqa: E731
    constant = lambda weights: {"x": np.full(len(weights), 0.45)}  # noqa: E731
    found = paired([share], [constant], 24, {"x": 24})["x"]
    draws = np.random.default_rng(0).multinomial(24, np.full(24, 1 / 24), 1000)[:, :12].sum(1) / 24
    assert found.difference == pytest.approx(0.05) and found.turns == pytest.approx(np.mean(draws - 0.45 <= 0))
    assert paired([share], [share], 24, {"x": 24})["x"].turns is None
    assert paired([share], [constant], 24, {"x": 9})["x"].interval is None


def test_different_sets_of_videos_are_compared_on_those_in_common(folder):
    with np.load(folder / "one.npz") as file:
        scores = dict(file)
    first = evaluate({name: scores[name] for name in scores if name != "v3"}, folder / "m.csv")
    second = evaluate({name: scores[name] for name in scores if name != "v4"}, folder / "m.csv")
    both = evaluate({name: scores[name] for name in scores if name not in ("v3", "v4")}, folder / "m.csv")
    found = first.against(second)["auc"]
    assert found.first == found.second == both["frame"]["auc"] and found.difference == 0


def test_rows_of_papers_take_any_name(folder):
    figures = evaluate(folder / "one.npz", folder / "m.csv", name=r"50%_of & \x|y")
    row = row_of(figures.name, "ours", "ap", figures.record)
    assert r"50\%\_of \& \textbackslash{}x|y & " in latex(row) and r"| 50%\_of & \\x\|y |" in row.markdown()


def test_which_spans():
    """The data set's own, or others, by name."""
    built = shipped("ucf")
    own = Manifest(Path("ucf.csv"), built.card, tuple(built.rows))
    assert which_spans(own) == "spans: the list that UCF-Crime was published with, 140 videos"
    other = [
        row.model_copy(update={"segments": (row.segments[0]._replace(start_frame=1),)}) if "Arson016" in row.video else row
        for row in built.rows
    ]
    assert "they differ in 1 videos (Arson016_x264)" in which_spans(Manifest(Path("x.csv"), built.card, tuple(other)))
    assert "those of m.csv, 4 in 3 test videos" in which_spans(Manifest(Path("m.csv"), CARD, tuple(rows())))


@pytest.fixture(scope="module")
def ucf(tmp_path_factory):
    """UCF-Crime's manifest with the frames of its test videos, and random scores with VadCLIP's numbers of rows."""
    listed = SHARED / "data/annotations/ucf_test_frames.txt"
    if not listed.is_file():
        pytest.skip(f"{listed} is not there")
    frames = {name.removesuffix(".mp4"): int(count) for name, count in map(str.split, listed.read_text().splitlines())}
    built, path = shipped("ucf"), tmp_path_factory.mktemp("ucf") / "ucf.csv"
    made = [row.model_copy(update={"frames": frames.get(Path(row.video).stem)}) for row in built.rows if row.split == "test"]
    write_manifest(made, built.card, path)
    more = {"Normal_Videos_924_x264", "Normal_Videos_935_x264", "Normal_Videos_940_x264"}
    random = np.random.default_rng(0)
    return path, {name: random.random(count // 16 + (name in more)) for name, count in frames.items()}


@pytest.mark.parametrize("protocol", list(TOTALS))
def test_the_real_totals_of_each_family(ucf, protocol):
    path, scores = ucf
    known_frames, known_anomalous = TOTALS[protocol]
    split = evaluate_totals(path, scores, protocol)
    assert known_frames in (None, split[0]) and known_anomalous in (None, split[1])


def evaluate_totals(path, scores, protocol) -> tuple[int, int]:
    from aadc.eval.field_protocols import field_protocol
    from aadc.eval.given_split import given_split
    from aadc.eval.read_scores import GivenScores
    from aadc.manifests.manifest import read_manifest

    split, notes = given_split(GivenScores(Path("x"), scores), read_manifest(path), field_protocol(protocol), 30.0)
    assert notes == []
    return sum(len(video.truth) for video in split.videos), sum(int(video.truth.sum()) for video in split.videos)


def test_published_map_from_files_is_the_golden_one(tmp_path):
    """Class scores and truth of the real UCF-Crime, as files, through the whole command's way: the published figures."""
    golden = SHARED / "golden"
    if not golden.is_dir():
        pytest.skip(f"{golden} is not there")
    sys.path.insert(0, str(golden))
    import predictions

    found = predictions.predictions(1, "ucf")
    test = [row for row in shipped("ucf").rows if row.split == "test"]
    abnormal, normal = ([row for row in test if (row.labels[0] != "Normal") == kind] for kind in (True, False))
    ordered = [row.model_copy(update={"frames": len(p)}) for row, p in zip([*abnormal, *normal], found, strict=True)]
    segments = json.loads((golden / "test_segments.json").read_text())["ucf"]
    assert [[list(s[:2]) for s in row.segments] for row in abnormal] == [one["segments"] for one in segments[: len(abnormal)]]
    write_manifest(ordered, shipped("ucf").card, tmp_path / "ucf.csv")
    classes = {row.video: p[::16] for row, p in zip(ordered, found, strict=True)}
    scores = {name: 1 - values[:, 0] for name, values in classes.items()}
    from aadc.eval.detection_map import IOUS, mean_average_precision
    from aadc.eval.evaluate import rankings_of
    from aadc.eval.field_protocols import field_protocol
    from aadc.eval.given_split import given_split
    from aadc.eval.read_scores import GivenScores
    from aadc.manifests.manifest import read_manifest

    given = [GivenScores(Path("x"), values) for values in (scores, classes)]
    split, _ = given_split(given[0], read_manifest(tmp_path / "ucf.csv"), field_protocol("vadclip"), 30.0, given[1])
    values = mean_average_precision(rankings_of(split)["published"], np.ones((1, 290), int), len(IOUS), "published")[0]
    expected = json.loads((golden / "map_iou.json").read_text())["ucf"]["map_percent"]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)


def test_the_list_of_order_is_of_whichever_scores_are_one_long_row(folder):
    """Figures of a long row beside those of scores by name, either way round."""
    scores = np.load(folder / "one.npz")
    np.save(folder / "long.npy", np.concatenate([scores[f"v{number}"] for number in range(24)]))
    (folder / "list.txt").write_text("\n".join(f"v{number}.mp4" for number in range(24)))
    words = ("--order", folder / "list.txt", "--out", folder / "mixed")
    for one, other in (("long.npy", "other.npz"), ("one.npz", "other.npz"), ("other.npz", "long.npy")):
        done = run(folder / one, folder / "m.csv", "--against", folder / other, *words)
        if "long.npy" not in (one, other):
            assert done.returncode == 2 and "holds scores by name, so that no order is needed" in done.stderr
            continue
        assert done.returncode == 0, done.stderr
        found = json.loads((folder / "mixed/against.json").read_text())["auc"]
        plain = evaluate(folder / "one.npz", folder / "m.csv")["frame"]["auc"]
        assert found["first" if one == "long.npy" else "second"] == plain


def test_differences_of_an_earlier_command_do_not_lie_beside_other_figures(folder):
    words = (folder / "one.npz", folder / "m.csv", "--out", folder / "again")
    assert run(*words, "--against", folder / "other.npz").returncode == 0
    assert (folder / "again/against.json").exists()
    assert run(*words).returncode == 0
    assert not (folder / "again/against.json").exists()
