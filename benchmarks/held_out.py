"""What a head knows of anomalies it never saw: trains without some kinds, then scores, names and looks for them.

    python benchmarks/held_out.py runs/demo "lying" "abandoned bag"

The run needs its shards and a trained head. A second one, `runs/demo-held-out`, is made beside it: the same shards, a manifest
and a card without any video that shows those kinds, and a head trained on that.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from aadc.eval.metrics import frame_figures
from aadc.eval.moments import similarities
from aadc.eval.open_vocabulary import BesideClip, score_against
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.scores import score_split
from aadc.eval.truth import expand
from aadc.extract.clip_model import Clip
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.extract.video_features import VideoFeatures
from aadc.head.bags import snippet_features
from aadc.head.checkpoint import LoadedHead, load_head
from aadc.head.config import HeadConfig
from aadc.head.prompts import PromptEncoder
from aadc.head.text_tower import load_tower
from aadc.head.train import train_head
from aadc.manifests.manifest import Manifest, Row, write_manifest


def make_run(run: RunFolder, manifest: Manifest, kinds: set[str]) -> RunFolder:
    """The same run as if nobody had ever heard of these kinds."""
    made = RunFolder(run.path.with_name(f"{run.path.name}-held-out"))
    shutil.rmtree(made.path, ignore_errors=True)
    made.path.mkdir()
    made.shards.symlink_to(run.shards.resolve())
    shutil.copyfile(run.run_json, made.run_json)
    card = manifest.card.model_copy(update={"classes": [c for c in manifest.card.classes if c.name not in kinds]})
    write_manifest([row for row in manifest.rows if not kinds & set(row.labels)], card, made.manifest_csv)
    return made


@torch.inference_mode()
def head_similarity(head: LoadedHead, clip: Clip, words: str, features: VideoFeatures) -> np.ndarray:
    """What `aadc-find` would rank by if it asked the head: similarity (T,) of its own embedding to the words."""
    text = PromptEncoder(clip, [words], head.config.n_ctx)(head.model.contexts)
    detr_TD, vis_TC = snippet_features(features, head.model.pooling)
    valid_BT = torch.ones(1, len(detr_TD), dtype=torch.bool)
    return head.model(detr_TD[None], vis_TC[None], valid_BT, text).class_logits_BTC[0, :, 0].numpy()


def precision(kind: str, rows: list[Row], features: list[VideoFeatures], ranked: list[np.ndarray], stride: int) -> float:
    """AP over the frames of `rows` for frames of this kind."""
    truth = [np.zeros(one.frames, bool) for one in features]
    for row, own in zip(rows, truth, strict=True):
        for segment in row.segments:
            if segment.label == kind:
                own[segment.start_frame : segment.end_frame] = True
    scores = [expand(values, len(own), stride) for values, own in zip(ranked, truth, strict=True)]
    return float(average_precision_score(np.concatenate(truth), np.concatenate(scores)))


def main(run: RunFolder, kinds: set[str]) -> None:
    """Print both tables."""
    manifest, shards = run.manifest(), ShardSet(run.shards)
    clip, stride = load_tower(shards.models["clip"], None), shards.sampling["stride"]
    held_out = make_run(run, manifest, kinds)
    train_head(held_out, HeadConfig())
    rows = [row for row in manifest.split("test") if row.key in shards.entries]
    heads = {"trained on all kinds": load_head(run.head), "without them": load_head(held_out.head)}
    print(f"{', '.join(sorted(kinds))}, never trained on; {len(rows)} test videos")
    for name, head in heads.items():
        beside_clip = score_against(head, manifest.card, clip, "cpu")
        ways = {"": beside_clip}
        if isinstance(beside_clip.model, BesideClip):
            ways = {", beside CLIP": beside_clip, ", the head alone": replace(beside_clip, model=beside_clip.model.head)}
        for way, open_head in ways.items():
            scored = score_split(open_head, shards, rows, 0.5, lambda: None)
            split = ScoredSplit(rows, scored, manifest.card, manifest.card, head.config.k, stride)
            held, others = [], []  # videos that show both are in neither: either name would be right
            for row, (true, predicted) in zip(split.there, split.categories, strict=True):
                shown = {label for label in row.labels if manifest.card.kind(label) == "abnormal"}
                if shown and (shown <= kinds or not shown & kinds):
                    (held if shown <= kinds else others).append(true == predicted)
            auc = frame_figures([split.videos[place] for place in split.known])["auc"]
            print(
                f"  {name}{way}: frame AUC {100 * auc:.1f}, named right {sum(held)} of {len(held)} with those kinds alone, "
                f"{sum(others)} of {len(others)} with others alone"
            )

    print("average precision over frames       CLIP, best thing   CLIP, whole frame   head without them")
    features = [shards.read(row.key) for row in rows]
    for entry in (entry for entry in manifest.card.classes if entry.kind == "abnormal"):
        with torch.inference_mode():
            text = clip.model.encode_text(clip.tokenizer([entry.prompt]))[0].numpy()
        text /= np.linalg.norm(text)
        ways = [
            [similarities(one, text)[0] for one in features],
            [one.scene.astype(np.float32) @ text / np.linalg.norm(one.scene.astype(np.float32), axis=1) for one in features],
            [head_similarity(heads["without them"], clip, entry.prompt, one) for one in features],
        ]
        found = "".join(f"{precision(entry.name, rows, features, way, stride):19.2f}" for way in ways)
        print(f"  {entry.prompt[:32]:32}{found}{'   never trained on' if entry.name in kinds else ''}")


if __name__ == "__main__":
    main(RunFolder(Path(sys.argv[1])), set(sys.argv[2:]))
