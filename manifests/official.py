"""Manifests of UCF-Crime and XD-Violence from the lists they were published with.

Spans are taken as the numbers stand and read half-open, [start, end), as published code reads them. What the lists
hide, with figures, is told in docs/manifests.md.
"""

from pathlib import Path
from typing import NamedTuple

from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import MOST_FRAMES, Row, read_manifest
from aadc.manifests.official_lists import Line, OfficialLists, Span, Video

LICENCE = "the authors' own terms; the videos are not part of this project"
UCF_NORMAL_FOLDERS = {"Training_Normal_Videos_Anomaly", "Testing_Normal_Videos_Anomaly"}
UCF_PROMPTS = {  # class, as the folders are called -> the words CLIP reads
    "Normal": "normal",
    "Abuse": "abuse",
    "Arrest": "arrest",
    "Arson": "arson",
    "Assault": "assault",
    "Burglary": "burglary",
    "Explosion": "explosion",
    "Fighting": "fighting",
    "RoadAccidents": "road accident",
    "Robbery": "robbery",
    "Shooting": "shooting",
    "Shoplifting": "shoplifting",
    "Stealing": "stealing",
    "Vandalism": "vandalism",
}
XD_CLASSES = {  # code in the names of the videos -> class, which is its own prompt
    "A": "normal",
    "B1": "fighting",
    "B2": "shooting",
    "B4": "riot",
    "B5": "abuse",
    "B6": "car accident",
    "G": "explosion",
}
UCF_FRAMES = "ucf_test_frames.txt"
XD_MULTICLASS = ("xd_temporal_multiclass_test.txt", "annotations_multiclasses.txt")
XD_TEMPORAL = ("xd_temporal_test.txt", "annotations.txt")


class Built(NamedTuple):
    """What a builder made, and what its user should know about it, a sentence each."""

    rows: list[Row]
    card: Card
    notes: list[str]


def shipped(name: str) -> Built:
    """The manifest `ucf` or `xd` that comes with the project, made by the builders below."""
    manifest = read_manifest(Path(__file__).parent / f"{name}.csv")
    return Built(list(manifest.rows), manifest.card, [])


def ucf_card() -> Card:
    """The class card of UCF-Crime: the normal class and 13 anomalies."""
    classes = [
        ClassEntry(name=name, kind="normal" if name == "Normal" else "abnormal", prompt=prompt)
        for name, prompt in UCF_PROMPTS.items()
    ]
    source = "Sultani, Chen, Shah: Real-world Anomaly Detection in Surveillance Videos, CVPR 2018"
    return Card(title="UCF-Crime", source=source, licence=LICENCE, classes=classes)


def xd_card() -> Card:
    """The class card of XD-Violence: the normal class and six anomalies; `source` tells their codes."""
    classes = [
        ClassEntry(name=name, kind="normal" if code == "A" else "abnormal", prompt=name) for code, name in XD_CLASSES.items()
    ]
    codes = ", ".join(f"{code} {name}" for code, name in XD_CLASSES.items())
    source = f"Wu et al.: Not only Look, but also Listen, ECCV 2020. Codes in the names of the videos: {codes}"
    return Card(title="XD-Violence", source=source, licence=LICENCE, classes=classes)


def build_ucf(folder: Path) -> Built:
    """UCF-Crime from its train, test and temporal lists.

    The class of a video is its folder; the two folders of normal videos are `Normal`. The temporal list has another
    order than the test list, so spans are joined by name. Where there is a list of frame counts (`name frames`), they go into
    the column `frames`. `UserError` names every inconsistent line.
    """
    lists = OfficialLists(folder)
    spans: dict[str, list[Span]] = {}
    category: dict[str, tuple[Line, str]] = {}
    for line in lists.lines("ucf_temporal_test.txt", "Temporal_Anomaly_Annotation.txt"):
        fields = line.text.split()
        if len(fields) < 4 or len(fields) % 2:
            lists.fault(line, "not a name, a category and pairs of frame numbers")
            continue
        name = fields[0].removesuffix(".mp4")
        if name in spans:
            lists.fault(line, f"{name} stands there twice")
        pairs = [pair for pair in zip(fields[2::2], fields[3::2], strict=True) if pair != ("-1", "-1")]
        found = [lists.span(line, *pair, label=fields[1]) for pair in pairs]
        spans[name] = [span for span in found if span]
        category[name] = line, fields[1]
    videos = []
    for split, names in (("train", ("ucf_train.txt", "Anomaly_Train.txt")), ("test", ("ucf_test.txt", "Anomaly_Test.txt"))):
        for line in lists.lines(*names):
            parent = line.text.partition("/")[0]
            video = Video(line, split, line.text, ["Normal" if parent in UCF_NORMAL_FOLDERS else parent])
            if split == "test" and category.get(video.name, (line, video.labels[0]))[1] != video.labels[0]:
                where, other = category[video.name]
                lists.fault(where, f"{video.name} is {other} here, {video.labels[0]} in line {line.number} of {line.file}")
            videos.append(video)
    rows = lists.rows(videos, spans, ucf_card(), _ucf_frames(lists))
    lists.finish()
    return Built(rows, ucf_card(), [])


def _ucf_frames(lists: OfficialLists) -> dict[str, int]:
    """Frames by video; none where there is no such list, as beside the official ones there is not."""
    frames: dict[str, int] = {}
    for line in lists.lines(UCF_FRAMES) if lists.has(UCF_FRAMES) else []:
        name, _, count = line.text.rpartition(" ")
        name = name.strip().removesuffix(".mp4")
        if not name or not count.isdecimal() or not 0 < int(count) <= MOST_FRAMES:
            lists.fault(line, "not a name and a number of frames")
        elif frames.setdefault(name, int(count)) != int(count):
            lists.fault(line, f"{name} has {frames[name]} frames in an earlier line")
    return frames


def build_xd(folder: Path) -> Built:
    """XD-Violence from `xd_train.txt`, `xd_test.txt` and a temporal list; a video is the listed name + `.mp4`.

    Labels are the codes in the name, in its order, as the classes of `XD_CLASSES`. Spans come from the multi-class list
    (code, start, end) where it is in the folder, otherwise from the plain one (start, end), which does not say what a
    span shows: there each span is written once for every label of its video, right for frame truth but not for
    mAP@IoU. `UserError` names every inconsistent line.
    """
    lists = OfficialLists(folder)
    with_codes = lists.has(*XD_MULTICLASS)
    spans = _xd_spans(lists, XD_MULTICLASS if with_codes else XD_TEMPORAL, with_codes)
    videos = [
        Video(line, split, f"{line.text.removesuffix('.mp4')}.mp4", _xd_labels(lists, line))
        for split, name in (("train", "xd_train.txt"), ("test", "xd_test.txt"))
        for line in lists.lines(name)
    ]
    rows = lists.rows(videos, spans, xd_card())
    notes: list[str] = []
    if not with_codes:
        several = sum(len(row.labels) > 1 for row in rows if row.split == "test")
        notes = [
            f"{several} test videos have several labels and the list does not say which of them a span shows: their spans "
            "stand once under each label, so frame-level AUC and AP hold and mAP@IoU does not"
        ]
    elif lists.has(*XD_TEMPORAL):
        notes = _disagreement(spans, _xd_spans(lists, XD_TEMPORAL, with_codes=False))
    lists.finish()
    return Built(rows, xd_card(), notes)


def _xd_labels(lists: OfficialLists, line: Line) -> list[str]:
    """`…_label_B2-G-0` -> shooting, explosion (0 fills up to three codes; two names leave it out)."""
    codes = [code for code in line.text.removesuffix(".mp4").rpartition("_label_")[2].split("-") if code != "0"]
    unknown = [code for code in codes if code not in XD_CLASSES]
    if unknown or not codes or ("A" in codes and codes != ["A"]):
        lists.fault(line, f"{line.text} does not end in _label_ and codes of {' '.join(XD_CLASSES)}, with A alone")
        return ["normal"]
    return [XD_CLASSES[code] for code in codes]


def _xd_spans(lists: OfficialLists, names: tuple[str, ...], with_codes: bool) -> dict[str, list[Span]]:
    """Spans by video: `name start end …`, or `name code start end …`. Some names end in a stray `.mp4`."""
    step = 3 if with_codes else 2
    spans: dict[str, list[Span]] = {}
    for line in lists.lines(*names):
        name, *fields = line.text.split()  # a few lines have two spaces in a row
        name = name.removesuffix(".mp4")
        if name in spans:
            lists.fault(line, f"{name} stands there twice")
        if not fields or len(fields) % step:
            lists.fault(line, f"after the name come groups of {'a code and ' if with_codes else ''}two frame numbers")
            continue
        spans[name] = []
        for *code, start, end in zip(*[iter(fields)] * step, strict=True):
            if code and code[0] not in XD_CLASSES:
                lists.fault(line, f"{code[0]} is none of the codes {' '.join(XD_CLASSES)}")
            span = lists.span(line, start, end, XD_CLASSES.get(code[0]) if code else None)
            spans[name] += [span] if span else []
    return spans


def _disagreement(spans: dict[str, list[Span]], plain: dict[str, list[Span]]) -> list[str]:
    """One sentence if the multi-class and the plain list do not cover the same frames."""
    counts = [len(_covered(spans.get(name, [])) ^ _covered(plain.get(name, []))) for name in spans | plain]
    videos = sum(count > 0 for count in counts)
    if not videos:
        return []
    return [f"the two temporal lists differ in {sum(counts)} frames of {videos} videos; the multi-class one was taken"]


def _covered(spans: list[Span]) -> set[int]:
    """Frames inside at least one of the spans."""
    return {frame for span in spans for frame in range(span.start_frame, span.end_frame)}
