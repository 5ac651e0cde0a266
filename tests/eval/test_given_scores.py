"""Scores of any method: every form gives the same figures, names and lengths join as the field has them."""

import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from aadc.eval.field_protocols import FIELD_PROTOCOLS
from aadc.eval.given_figures import evaluate
from aadc.eval.given_split import curves_of
from aadc.eval.lengths import Length, read_lengths
from aadc.eval.video_names import plain_name
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, write_manifest

FRAMES = {"a0": 165, "a1": 320, "a2": 95, "n0": 160, "n1": 177, "n2": 64}
CARD = Card(
    title="t",
    classes=[
        ClassEntry(name="Normal", kind="normal", prompt="normal"),
        ClassEntry(name="Fight", kind="abnormal", prompt="fight"),
        ClassEntry(name="Fall", kind="abnormal", prompt="fall"),
    ],
)


def rows(frames: bool = True) -> list[Row]:
    """Test videos in two folders, one training video."""
    spans = {"a0": "32-96:Fight", "a1": "16-50:Fall;200-:Fall", "a2": "0-40:Fight"}
    made = [Row(video="train/t0_x264.mp4", split="train", labels="Normal")]
    for name, count in FRAMES.items():
        labels = "Normal" if name[0] == "n" else spans[name].rpartition(":")[2]
        video = f"{labels}/{name}_x264.mp4"
        made.append(
            Row(video=video, split="test", labels=labels, segments=spans.get(name, ""), frames=count if frames else None)
        )
    return made


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "m.csv"
    write_manifest(rows(), CARD, path)
    return path


@pytest.fixture(scope="module")
def scores() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {f"{name}_x264": random.random(count // 16).round(2) for name, count in FRAMES.items()}


def written(scores, form: str, folder):
    """The scores in a form; the path."""
    path = folder / f"scores.{form}"
    if form == "folder":
        path = folder / "scores"
        for number, (name, values) in enumerate(scores.items()):
            file = path / ("deep/er" if number % 2 else "") / f"{name}__5.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, values.astype(np.float64))
    elif form == "npz":
        np.savez(path, **scores)
    elif form == "json":
        path.write_text(json.dumps({f"{name}.mp4": values.tolist() for name, values in scores.items()}))
    elif form == "csv":
        lines = [f"{name},{value}" for name, values in scores.items() for value in values.tolist()]
        path.write_text("name,score\n" + "\n".join(lines) + "\n")
    elif form == "h5":
        with h5py.File(path, "w") as file:
            for name, values in scores.items():
                file[name] = values
    elif form == "crops":
        path = folder / "crops.npz"
        np.savez(path, **{name: values + np.linspace(-0.1, 0.1, 10)[:, None] for name, values in scores.items()})
    elif form == "lavad":
        path = folder / "lavad"
        path.mkdir()
        for name, values in scores.items():
            (path / f"{name}.json").write_text(json.dumps({str(16 * t): value for t, value in enumerate(values.tolist())}))
    return path


@pytest.mark.parametrize("form", ["folder", "npz", "json", "csv", "h5", "crops", "lavad"])
def test_every_form_is_the_same(tmp_path, manifest, scores, form):
    plain = evaluate(scores, manifest)
    found = evaluate(written(scores, form, tmp_path), manifest)
    assert form == "crops" or found["frame"] == plain["frame"]  # a mean of ten has other last digits, and so other ties
    assert found.split.videos[0].score.tolist() == pytest.approx(plain.split.videos[0].score.tolist())
    assert not found["videos_missing"] and found.notes == ()


@pytest.mark.parametrize("suffix", ["", ",Fight", "  Fight  32  96  -1  -1"])
@pytest.mark.parametrize("repeat", [1, 16])
@pytest.mark.parametrize("crops", [1, 2])
def test_one_long_row_with_its_list(tmp_path, manifest, scores, repeat, crops, suffix):
    """In another order than the manifest's, one a snippet or one a frame of whole snippets."""
    names = sorted(scores, reverse=True)
    (tmp_path / "list").write_text(
        "path,label\n" + "".join(f"/home/x/{name}__{crop}.npy{suffix}\n" for name in names for crop in range(crops))
    )
    np.save(tmp_path / "v.npy", np.repeat(np.concatenate([scores[name] for name in names for _ in range(crops)]), repeat))
    found = evaluate(tmp_path / "v.npy", manifest, "vadclip", order=tmp_path / "list")
    assert found["frame"] == evaluate(scores, manifest, "vadclip")["frame"]


def test_a_list_that_does_not_fit(tmp_path, manifest, scores):
    vector, listed = tmp_path / "v.npy", tmp_path / "list"
    np.save(vector, np.zeros(62))
    with pytest.raises(UserError, match="--order"):
        evaluate(vector, manifest)
    listed.write_text("".join(f"{name}\n" for name in scores))
    with pytest.raises(UserError, match=r"62 scores; the 6 videos of .*list have 60 \(frames // 16"):
        evaluate(vector, manifest, order=listed)
    listed.write_text("a0_x264\nnobody\n")
    with pytest.raises(UserError, match="line 2: nobody"):
        evaluate(vector, manifest, order=listed)
    listed.write_text("a0_x264\na1_x264\na0_x264\n")
    with pytest.raises(UserError, match="twice"):
        evaluate(vector, manifest, order=listed)


def by_hand(scores, protocol: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and score of all frames, from the numbers above, as each family counts them."""
    spans = {"a0": [(32, 96)], "a1": [(16, 50), (200, 320)], "a2": [(0, 40)]}
    truth, score = [], []
    for name, frames in FRAMES.items():
        values = scores[f"{name}_x264"]
        counted = {
            "ours": frames,
            "lavad": frames,
            "vadclip": 16 * (frames // 16),
            "rtfm": 16 * -(-frames // 16),
            "xdviodet": 16 * ((frames - 1) // 16),
        }[protocol]
        own = np.zeros(counted, bool)
        for start, end in spans.get(name, []):
            own[start : end + (protocol in ("rtfm", "lavad"))] = True
        truth.append(own)
        score.append([values[min(frame // 16, len(values) - 1)] for frame in range(counted)])
    return np.concatenate(truth), np.concatenate(score)


@pytest.mark.parametrize("protocol", list(FIELD_PROTOCOLS))
def test_protocols_by_hand_and_scikit_learn(manifest, scores, protocol):
    found = evaluate(scores, manifest, protocol)
    truth, score = by_hand(scores, protocol)
    frame = found["frame"]
    assert (frame["frames"], frame["anomalous_frames"]) == (len(truth), truth.sum())
    precision, recall, _ = precision_recall_curve(truth, score)
    assert frame["auc"] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert frame["ap"] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    assert frame["ap_trapezoid"] == pytest.approx(auc(recall, precision), abs=1e-12)
    assert protocol in found.about[0]


def test_frame_scores_are_seen_by_their_length(manifest, scores):
    every = {name: np.repeat(values, 16) for name, values in scores.items()}
    padded = {name: np.append(np.repeat(values, 16), [values[-1]] * 15) for name, values in scores.items()}
    for frames in (every, padded):
        found = evaluate(frames, manifest)
        assert found["frame"] == evaluate(scores, manifest)["frame"] and "one a frame" in found.about[2]


def test_lengths_of_the_four_rules_and_one_off():
    def read(counts):
        frames = [165, 320, 95, 160, 177, 64]
        return read_lengths({f"v{i}": Length(n, f, 0) for i, (n, f) in enumerate(zip(counts, frames, strict=True))})

    assert read([10, 20, 5, 10, 11, 4]).rule.startswith("frames // 16")
    assert read([10, 19, 5, 9, 11, 3]).rule.startswith("(frames - 1)")
    assert read([11, 20, 6, 10, 12, 4]).rule.startswith("frames / 16, rounded up")
    assert read([165, 320, 95, 160, 177, 64]).by_frame and read([165, 320, 95, 160, 177, 64]).rule == "every frame"
    off = read([10, 20, 6, 10, 11, 5])
    assert off.other == ("v2", "v5") and not off.by_frame
    with pytest.raises(
        UserError, match=r"v1: 40 scores, 320 frames in the manifest; frames // 16 = 20 would fit, and these are"
    ):
        read([10, 40, 5, 10, 11, 4])
    with pytest.raises(UserError, match=r"v0: 165 scores, 165 frames .*; frames // 16 = 10 would fit, and these are by frame"):
        read([165, 20, 5, 10, 11, 4])
    with pytest.raises(UserError, match="32 segments"):
        read([32, 20, 5, 10, 11, 4])


def test_a_snippet_too_many_is_cut_and_one_too_few_is_held(manifest, scores):
    """And counted, and named; two are refused."""
    odd = {**scores, "a0_x264": np.append(scores["a0_x264"], [9.0]), "n1_x264": scores["n1_x264"][:-1]}
    found = evaluate(odd, manifest, "ours")
    assert "2 videos have up to one snippet more or less" in found.notes[0] and "a0_x264" in found.notes[0]
    values = {video.video: video.score for video in found.split.videos}
    assert values["Fight/a0_x264.mp4"].tolist()[160:] == [9.0] * 5  # 165 frames: the eleventh row has five of them
    assert values["Normal/n1_x264.mp4"][160:].tolist() == [scores["n1_x264"][-2]] * 17
    with pytest.raises(UserError, match=r"(?s)1 of 6 videos .*Fight/a0_x264.mp4: 13 scores, 165 frames"):
        evaluate({**scores, "a0_x264": np.zeros(13)}, manifest)


def test_without_frames_in_the_manifest_the_spans_tell(tmp_path, scores):
    write_manifest(rows(frames=False), CARD, tmp_path / "m.csv")
    assert evaluate(scores, tmp_path / "m.csv")["frame"]["frames"] == 16 * 60
    every = {name: np.repeat(values, 16) for name, values in scores.items()}
    found = evaluate(every, tmp_path / "m.csv")
    assert found["frame"]["frames"] == 16 * 60 and "a frame" in found.about[2]
    with pytest.raises(UserError, match="fill its column frames"):
        evaluate({name: values for name, values in scores.items() if name[0] == "n"}, tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Abuse/Abuse028_x264__5.npy", "Abuse028_x264"),
        ("Abuse028_x264_i3d.npy", "Abuse028_x264"),
        ("C:\\x\\Abuse028_x264.mp4.npy", "Abuse028_x264"),
        ("v=8cTqh9tMz_I__#1_label_A__0", "v=8cTqh9tMz_I__#1_label_A"),
        ("Thelma.&.Louise.1991__#0-20-10_label_B2-0-0.npy", "Thelma.&.Louise.1991__#0-20-10_label_B2-0-0"),
        ("a_emb", "a"),
        ("a__vggish.npy", "a"),
        ("a__12", "a__12"),
        ("a_clip", "a"),
    ],
)
def test_names_as_the_field_writes_them(name, plain):
    assert plain_name(name) == plain


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=30))
def test_a_plain_name_stays_and_no_name_breaks(name):
    assert isinstance(plain_name(plain_name(name)), str)


def test_what_is_missing_or_unknown_is_said(manifest, scores):
    some = {name: values for name, values in scores.items() if name != "n2_x264"} | {
        "nobody": np.zeros(3),
        "t0_x264": np.zeros(3),
    }
    found = evaluate(some, manifest)
    assert found["videos_missing"] == 1 and found["videos"] == 5
    assert [note.split(":")[0] for note in found.notes] == [
        "1 of 6 test videos have no scores",
        "1 names are no video of the manifest and are left out",
        "1 are training videos and are left out",
    ]
    with pytest.raises(UserError, match="none of its 1 names is a test video"):
        evaluate({"nobody": np.zeros(3)}, manifest)


def test_crops_in_files_of_their_own_are_averaged(manifest, scores):
    crops = {f"{name}__{crop}": values + 0.1 * crop for name, values in scores.items() for crop in range(3)}
    found = evaluate(crops, manifest)
    assert found.split.curves["Fight%2Fa0_x264.mp4"] == pytest.approx(scores["a0_x264"] + 0.1)
    assert "several files a video (3)" in found.notes[0]


@pytest.mark.parametrize("shape", [(10, 7), (7, 10), (1, 7), (7, 1), (5, 7), (10, 7, 1), (7,)])
def test_crops_of_an_array_are_averaged(shape):
    line = np.arange(7.0)
    array = line if shape == (7,) else np.broadcast_to(line.reshape([7 if size == 7 else 1 for size in shape]), shape)
    assert curves_of({"v": [array]})[0]["v"].tolist() == line.tolist()


@pytest.mark.parametrize("array", [np.zeros((3, 7)), np.zeros(0), np.array([0.1, np.nan]), np.array([np.inf]), np.zeros(())])
def test_arrays_that_are_no_scores(manifest, scores, array):
    with pytest.raises(UserError, match="a0_x264"):
        evaluate({**scores, "a0_x264": array}, manifest)


def test_nothing_is_ever_unpickled(tmp_path, manifest):
    """A file that would run code when it is opened."""

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for name in ("a.npy", "b.npz"):
        (np.save if name == "a.npy" else np.savez)(tmp_path / name, np.array([Bomb()], dtype=object), allow_pickle=True)
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "d.npy").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "d2").mkdir()
    (tmp_path / "d2/a0_x264.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("a.npy", "b.npz", "c.pkl", "d.npy", "d2"):
        with pytest.raises(UserError, match=r"never opened here|cannot be read"):
            evaluate(tmp_path / name, manifest)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b"{", "cannot be read as JSON"),
        ("a.json", b"[" * 100_000, "cannot be read as JSON"),
        ("a.json", b'{"a0_x264": ["x"]}', "scores are numbers"),
        ("a.json", b'{"a0_x264": [[1], [1, 2]]}', "these are no scores"),
        ("a.json", b"3", "neither"),
        ("a.json", b'{"a0_x264": {"7": 0.1, "3": 0.2}}', "do not count up"),
        ("a.csv", b"name,score\na0_x264,0.5\na0_x264,high\n", "line 3"),
        ("a.csv", b"", "no scores"),
        ("a.csv", b"\xff\xfe\x00", "cannot be read as CSV"),
        ("a.npz", b"PK\x03\x04", "cannot be read"),
        ("a.npy", b"\x93NUMPY", "cannot be read"),
        ("a.h5", b"nothing", "cannot be read as HDF5"),
        ("a.mat", b"x", "never opened"),
        ("a.docx", b"x", "no form of scores"),
    ],
)
def test_files_that_are_no_scores(tmp_path, manifest, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=says):
        evaluate(tmp_path / name, manifest)


def test_names_that_fit_two_videos_need_their_path(tmp_path):
    card_rows = [
        Row(video=f"{folder}/cam.mp4", split="test", labels=labels, segments=spans, frames=64)
        for folder, labels, spans in (("x", "Normal", ""), ("y", "Fall", "16-32:Fall"))
    ]
    write_manifest(card_rows, CARD, tmp_path / "m.csv")
    with pytest.raises(UserError, match="may be any of x/cam.mp4, y/cam.mp4"):
        evaluate({"cam": np.zeros(4)}, tmp_path / "m.csv")
    assert evaluate({"x/cam": np.zeros(4), "y/cam.mp4": np.ones(4)}, tmp_path / "m.csv")["videos"] == 2


def test_class_scores_give_map_and_categories(manifest, scores):
    """A perfect oracle, by snippet or by frame."""
    perfect = {}
    for row in rows()[1:]:
        own = np.zeros((row.frames // 16, 3))
        own[:, 0] = 1
        for span in row.segments:
            end = span.end_frame or row.frames
            own[span.start_frame // 16 : -(-end // 16)] = np.eye(3)[CARD.names.index(span.label)]
        perfect[row.video] = own
    found = evaluate(scores, manifest, classes=perfect)
    assert found["map"]["clean"]["map"][0] == pytest.approx(1) and found["category"]["accuracy"] == 1
    repeated = evaluate(scores, manifest, classes={name: np.repeat(own, 16, 0) for name, own in perfect.items()})
    assert repeated["map"] == found["map"] and evaluate(scores, manifest)["map"] is None
    with pytest.raises(UserError, match=r"\(T, 3\)"):
        evaluate(scores, manifest, classes={name: own[:, :2] for name, own in perfect.items()})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "there are no scores"),
        ({"a0_x264": ["a"]}, "scores are numbers"),
        ({"a0_x264": [None]}, "scores are numbers"),
        ({"a0_x264": np.zeros(10, complex)}, "scores are numbers"),
        ({"a0_x264": [[1, 2], [1]]}, "no scores"),
        ({"a0_x264": np.full(10, 1e307)}, "no finite number"),
        ({0: [0.5]}, "none of its 1 names"),
    ],
)
def test_arrays_from_a_notebook(manifest, values, says):
    with pytest.raises(UserError, match=says):
        evaluate(values, manifest)


def test_links_of_hdf5_are_not_followed(tmp_path, manifest, scores):
    """They may lead to another file."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.zeros(10)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["a0_x264"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
        file["a1_x264"] = h5py.SoftLink("/nowhere")
        file["n0_x264"] = scores["n0_x264"]
    assert evaluate(tmp_path / "s.h5", manifest)["videos"] == 1


def test_a_short_video_lies_as_the_whole_set_does():
    """Ten snippets and ten crops are ten by ten: which way round, the other videos tell."""
    lines = {"long": np.arange(7.0), "short": np.arange(10.0), "five": np.arange(5.0), "one": np.arange(1.0)}
    for crops in (5, 10):
        deep = {name: [np.repeat(line[:, None], crops, 1)] for name, line in lines.items()}  # (T, crops), as RTFM's
        for arrays in (deep, {name: [one.T] for name, (one,) in deep.items()}):
            found, seen = curves_of(arrays)
            assert {name: one.tolist() for name, one in found.items()} == {name: one.tolist() for name, one in lines.items()}
            assert seen == {crops}
    assert curves_of({"v": [np.arange(10.0)[:, None]]})[0]["v"].tolist() == list(range(10))  # a column is no ten crops


def test_arrays_that_lie_in_two_ways_are_refused():
    with pytest.raises(UserError, match=r"long: an array of shape \(7, 10\); .* in all videos alike"):
        curves_of({"long": [np.zeros((7, 10))], "turned": [np.zeros((10, 8))]})


def test_how_many_crops_were_averaged_is_said(manifest, scores):
    found = evaluate({name: np.repeat(one[None], 5, 0) for name, one in scores.items()}, manifest)
    assert found.about[2].endswith(", the mean of 5 crops in one array")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a0_x264", "Fight/a0_x264"),
        ("a0_x264__0", "a0_x264"),
        ("a0_x264__1", "Fight/a0_x264__1"),
        ("a0_x264.mp4", "a0_x264.npy"),
    ],
)
def test_two_sets_of_scores_of_a_video_are_never_averaged(manifest, scores, one, other):
    rest = {name: values for name, values in scores.items() if name != "a0_x264"}
    with pytest.raises(UserError, match="are of one video; keep one of them"):
        evaluate({**rest, one: scores["a0_x264"], other: 1 - scores["a0_x264"]}, manifest)


def test_two_runs_in_one_folder_are_never_averaged(tmp_path, manifest, scores):
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        for name, values in scores.items():
            np.save(tmp_path / run / f"{name}.npy", values)
    with pytest.raises(UserError, match="first/a0_x264 and second/a0_x264 are of one video"):
        evaluate(tmp_path, manifest)


@pytest.mark.parametrize("first", ["n0_x264,", "n0_x264,0..5", "n0_x264,broken"])
def test_a_first_line_that_is_a_score_gone_bad_is_no_line_of_heads(tmp_path, manifest, scores, first):
    lines = [f"{name},{value}" for name, values in scores.items() for value in values]
    lines = sorted(lines, key=lambda line: not line.startswith("n0"))
    (tmp_path / "s.csv").write_text("\n".join([first, *lines[1:]]))
    with pytest.raises(UserError, match=f"line 1: not name,score but '{first}'"):
        evaluate(tmp_path / "s.csv", manifest)


def test_a_name_that_stands_twice_in_json_is_refused(tmp_path, manifest):
    (tmp_path / "s.json").write_text('{"a0_x264": [0.1], "n0_x264": [0.2], "a0_x264": [0.3]}')
    with pytest.raises(UserError, match="a0_x264 stands there twice"):
        evaluate(tmp_path / "s.json", manifest)


def test_a_folder_with_both_forms_of_a_video_is_refused_and_hidden_files_are_passed_over(tmp_path, manifest, scores):
    for name, values in scores.items():
        np.save(tmp_path / f"{name}.npy", values)
    (tmp_path / "._a0_x264.npy").write_bytes(b"what archives of Macs bring along")
    assert evaluate(tmp_path, manifest)["frame"] == evaluate(scores, manifest)["frame"]
    (tmp_path / "a0_x264.json").write_text("[0.1]")
    with pytest.raises(UserError, match=r"a0_x264 is there twice, as \.npy and as \.json"):
        evaluate(tmp_path, manifest)


def test_archives_that_are_none_and_arrays_that_claim_too_much_are_named(tmp_path, manifest, scores):
    np.savez(tmp_path / "whole.npz", **scores)
    whole = (tmp_path / "whole.npz").read_bytes()
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }"
    head = b"\x93NUMPY\x01\x00v\x00"
    bad = {
        "renamed.npy": whole,
        "half.npy": whole[:300],
        "half.npz": whole[:300],
        "huge.npy": head + (header % 10**15).ljust(117) + b"\n" + bytes(16),
        "endless.npy": head + (header % 10**23).ljust(117) + b"\n" + bytes(16),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("a0_x264", "0.1 0.2")
    for name in [*bad, "text.npz"]:
        with pytest.raises(UserError, match=rf"{name}: .*; save it anew"):
            evaluate(tmp_path / name, manifest)


@pytest.mark.parametrize("name", ["a0_x264.npy", "all.npz"])
def test_what_cannot_be_opened_is_not_said_to_hold_objects_because_of_its_folders_name(tmp_path, monkeypatch, manifest, name):
    path = tmp_path / "pickled objects" / name
    path.parent.mkdir()
    path.touch()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(UserError, match=r"cannot be read.* \(Permission denied\)"):
        evaluate(path, manifest)


def test_hdf5_never_reads_other_files_and_names_what_is_too_large(tmp_path, manifest, scores):
    (tmp_path / "secret").write_bytes(bytes(range(64)))
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("a0_x264", (10,), "u1", external=[(str(tmp_path / "secret"), 0, 10)])
    with pytest.raises(UserError, match=r"s\.h5: a0_x264: its values lie in another file"):
        evaluate(tmp_path / "s.h5", manifest)
    layout = h5py.VirtualLayout((10,), "u1")
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("a0_x264", layout)
    with pytest.raises(UserError, match="its values lie in another file"):
        evaluate(tmp_path / "v.h5", manifest)
    with h5py.File(tmp_path / "l.h5", "w") as file:
        file.create_dataset("a0_x264", (10**15,), "f8", chunks=(64,))
    with pytest.raises(UserError, match=r"l\.h5: cannot be read as HDF5"):
        evaluate(tmp_path / "l.h5", manifest)


def test_class_names_of_hdf5_may_be_bytes(tmp_path, manifest, scores):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.attrs["classes"] = np.array([name.encode() for name in CARD.names])
        for name, values in scores.items():
            file.create_group(name)["score"] = values
            file[name]["classes"] = np.stack([1 - values, values / 2, values / 2], 1)
    assert evaluate(tmp_path / "s.h5", manifest)["map"] is not None


def test_a_rate_that_no_video_has(manifest, scores):
    for fps in (0, -1, float("nan"), float("inf"), 1e300):
        with pytest.raises(UserError, match="frames a second above 0, at most 10,000"):
            evaluate(scores, manifest, fps=fps)
