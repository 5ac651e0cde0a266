"""Extraction: what a user would write beside ours, on full-size DETR-R50 and CLIP ViT-B/16 with random weights.

    python benchmarks/extract.py                 # 640x360 and 1280x720, three rounds
    python benchmarks/extract.py --frames 2 --rounds 1 --sizes 640x360

(a) transformers' object-detection pipeline frame by frame, open_clip's transform and encoder crop by crop; (b) ours, fp32;
(c) ours, bf16; (d) ours, fp32, with --gate on a video that hardly moves. Each lives in a process of its own, so that its peak
memory can be told, and they take turns. Random weights know no objects: the five best boxes of every frame count, whatever
their confidence. Prints medians over rounds, ratios to (a), how far the features agree with (a)'s, and the share of this
machine's own matrix-product rate that the models' arithmetic reaches.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path

import av
import numpy as np

BOXES, STRIDE, FPS, GATE = 5, 16, 25, 6.0
WAYS = {"a": "libraries' pipelines, fp32", "b": "ours, fp32", "c": "ours, bf16", "d": "ours, fp32, gate, static video"}


def write_clip(path: Path, width: int, height: int, frames: int, still: bool) -> None:
    """A photograph seen by a camera that pans over it (or stands still), a second one carried through, noise, H.264."""
    from sklearn.datasets import load_sample_images
    from torchvision.transforms.v2 import functional

    rng = np.random.default_rng(0)
    temple, flower = (
        functional.resize(functional.to_image(image), size).permute(1, 2, 0).numpy()
        for image, size in zip(load_sample_images().images, ([height + 64, width + 64], [height // 4, width // 6]), strict=True)
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS, width=width, height=height, pix_fmt="yuv420p")
        for number in range(frames):
            x, y = (0, 0) if still else (int(32 + 31 * np.sin(number / 40)), int(32 + 31 * np.cos(number / 55)))
            frame = temple[y : y + height, x : x + width].astype(np.int16)
            if not still:
                left = (number * 3) % (width - flower.shape[1])
                frame[height // 2 : height // 2 + flower.shape[0], left : left + flower.shape[1]] = flower
            frame = (frame + rng.integers(-3, 4, frame.shape)).clip(0, 255).astype(np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def theirs(models: Path):
    """(a), as a function from a video to boxes (T, N, 4) in px and embeddings (T, 1 + N, C), whole frame first."""
    import open_clip
    import torch
    from transformers import pipeline

    from aadc.extract.crops import square_boxes

    detect = pipeline("object-detection", model=str(models / "detr"), threshold=0.0)
    clip, _, transform = open_clip.create_model_and_transforms(f"local-dir:{models / 'clip'}")
    clip.eval()

    def frames(path: Path):
        with av.open(str(path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index % STRIDE == STRIDE // 2:
                    yield frame.to_image()

    @torch.no_grad()
    def run(path: Path) -> tuple[np.ndarray, np.ndarray]:
        boxes, embeddings = [], []
        for image in frames(path):
            found = sorted(detect(image), key=lambda item: -item["score"])[:BOXES]
            corners = np.array([[item["box"][key] for key in ("xmin", "ymin", "xmax", "ymax")] for item in found], float)
            relative = corners / np.tile(image.size, 2)
            centred = np.concatenate([(relative[:, :2] + relative[:, 2:]) / 2, relative[:, 2:] - relative[:, :2]], 1)
            pictures = [image, *(image.crop(tuple(box)) for box in square_boxes(centred, *image.size))]
            embeddings.append([clip.encode_image(transform(picture)[None])[0].numpy() for picture in pictures])
            boxes.append(corners)
        return np.array(boxes), np.array(embeddings)

    return run


def ours(models: Path, precision: str, gate: float):
    """(b), (c), (d): the project's own path, from the file to rows of a shard."""
    from aadc.extract.decode_child import DecodeChild
    from aadc.extract.features import FrameEmbedder
    from aadc.extract.settings import ExtractSettings
    from aadc.extract.video import video_features

    settings = ExtractSettings(
        detector=str(models / "detr"), clip=str(models / "clip"), boxes=BOXES, threshold=0.0, precision=precision, gate=gate
    )
    embedder, decoder = FrameEmbedder(settings), DecodeChild()

    def run(path: Path) -> tuple[np.ndarray, np.ndarray]:
        found = video_features(path, embedder, decoder)
        size = np.tile([found.width, found.height], 2)
        box = found.box.astype(float)
        corners = np.concatenate([box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2], -1) * size
        embeddings = np.concatenate([found.scene[:, None], found.crop], 1).astype(np.float32)
        return corners, embeddings

    return run


def live(way: str, models: Path, pipe) -> None:
    """A way's own process: videos come in, (seconds, boxes, embeddings, peak memory in MB) go out."""
    run = theirs(models) if way == "a" else ours(models, "bf16" if way == "c" else "fp32", GATE if way == "d" else 0.0)
    pipe.send("ready")
    while (path := pipe.recv()) is not None:
        began = time.perf_counter()
        boxes, embeddings = run(path)
        pipe.send((time.perf_counter() - began, boxes, embeddings, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def matrix_rate(dtype_name: str, size: int = 2048) -> float:
    """This machine's matrix products, in 1e9 operations a second: the best of several."""
    import torch

    one, other = (torch.randn(size, size).to(getattr(torch, dtype_name)) for _ in range(2))
    best = np.inf
    for _ in range(6):
        began = time.perf_counter()
        one @ other
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def operations(models: Path, width: int, height: int) -> float:
    """What the models compute for one frame, in 1e9 operations."""
    from torch.utils.flop_counter import FlopCounterMode

    from aadc.extract.features import FrameEmbedder
    from aadc.extract.settings import ExtractSettings

    settings = ExtractSettings(detector=str(models / "detr"), clip=str(models / "clip"), boxes=BOXES, threshold=0.0)
    embedder = FrameEmbedder(settings)
    with FlopCounterMode(display=False) as counter:
        embedder(np.random.default_rng(0).integers(0, 255, (1, height, width, 3), dtype=np.uint8))
    return counter.get_total_flops() / 1e9


def agreement(theirs: tuple, ours: tuple) -> str:
    """Boxes by IoU and embeddings by cosine, worst and mean."""
    (box_a, emb_a), (box_b, emb_b) = theirs, ours
    low, high = np.maximum(box_a[..., :2], box_b[..., :2]), np.minimum(box_a[..., 2:], box_b[..., 2:])
    inner = (high - low).clip(0).prod(-1)
    iou = inner / ((box_a[..., 2:] - box_a[..., :2]).prod(-1) + (box_b[..., 2:] - box_b[..., :2]).prod(-1) - inner)
    cosine = (emb_a * emb_b).sum(-1) / (np.linalg.norm(emb_a, axis=-1) * np.linalg.norm(emb_b, axis=-1))
    return (
        f"IoU worst {iou.min():.4f} mean {iou.mean():.4f}; cosine of whole frames worst {cosine[:, 0].min():.6f}, "
        f"of crops worst {cosine[:, 1:].min():.6f} mean {cosine[:, 1:].mean():.6f}"
    )


def measure(models: Path, folder: Path, size: str, frames: int, rounds: int) -> None:
    """One size of video, all ways."""
    width, height = map(int, size.split("x"))
    moving, still = folder / f"{size}.mp4", folder / f"{size}-still.mp4"
    write_clip(moving, width, height, STRIDE * frames, still=False)
    write_clip(still, width, height, STRIDE * frames * 8, still=True)
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for way in WAYS:
        pipes[way], far = context.Pipe()
        context.Process(target=live, args=(way, models, far), daemon=True).start()
        pipes[way].recv()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    answers, memory = {}, {}
    for _ in range(rounds):
        for way, pipe in pipes.items():
            pipe.send(still if way == "d" else moving)
            took, boxes, embeddings, memory[way] = pipe.recv()
            seconds[way].append(took / len(boxes))
            answers[way] = (boxes, embeddings)
    for pipe in pipes.values():
        pipe.send(None)
    work = operations(models, width, height)
    rates = {"fp32": matrix_rate("float32"), "bf16": matrix_rate("bfloat16")}
    print(f"\n{size}, {frames} sampled frames ({8 * frames} of the static one), {rounds} rounds; {work:.0f} GFLOP a frame; "
          f"matrix products {rates['fp32']:.0f} GFLOP/s in fp32, {rates['bf16']:.0f} in bf16")  # fmt: skip
    for way, what in WAYS.items():
        each = float(np.median(seconds[way]))
        reached = (
            "" if way == "d" else f", {100 * work / each / rates['bf16' if way == 'c' else 'fp32']:.0f} % of the matrix rate"
        )
        print(f"({way}) {what}: {1 / each:.2f} sampled frames/s, {STRIDE / each:.1f} video frames/s, "
              f"{np.median(seconds['a']) / each:.2f} x (a){reached}, peak {memory[way]:.0f} MB")  # fmt: skip
        if way in "bc":
            print(f"    agreement with (a): {agreement(answers['a'], answers[way])}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=5, help="sampled frames a video")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=["640x360", "1280x720"])
    parser.add_argument("--models", type=Path, help="folder of benchmarks/random_checkpoints.py [default: made anew]")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        models = given.models or Path(folder)
        if given.models is None:
            import random_checkpoints

            random_checkpoints.write_detr(models / "detr")
            random_checkpoints.write_clip(models / "clip")
        for size in given.sizes:
            measure(models, Path(folder), size, given.frames, given.rounds)


if __name__ == "__main__":
    main()
