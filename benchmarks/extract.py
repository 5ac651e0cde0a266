"""Extraction: what a user would write beside ours, on full-size DETR-R50 and CLIP ViT-B/16 with random weights.

    python benchmarks/extract.py                 # 640x360 and 1280x720, three rounds
    python benchmarks/extract.py --frames 2 --rounds 1 --sizes 640x360

(a) transformers' object-detection pipeline frame by frame, open_clip's transform and encoder crop by crop; (b) ours, fp32;
(c) ours, bf16; (d) ours, fp32, with --gate on a video that hardly moves. Each lives in a process of its own, so that its peak
memory can be told, and they take turns. Random weights know no objects: the five best boxes of every frame count, whatever
their confidence. Prints medians over rounds, ratios to (a), peak memory (the process + its decoding child), the share of
this machine's own matrix-product rate that the models' arithmetic reaches, and how far we agree with (a), worst and mean:

- end to end: boxes by IoU, embeddings of whole frames and of crops by cosine. The pipeline rounds its boxes to whole pixels,
  so that its crops are not quite ours;
- of the same crops: (a)'s transform and encoder on our boxes;
- of DETR: encoder feature, decoder embeddings and unrounded boxes of (a)'s model, each of our rows beside that of its
  queries whose embedding is nearest.

For (d), what is carried over beside what (b) computes for the same still frames.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import av
import numpy as np

BOXES, STRIDE, FPS, GATE = 5, 16, 25, 6.0
WAYS = {"a": "libraries' pipelines, fp32", "b": "ours, fp32", "c": "ours, bf16", "d": "ours, fp32, gate, static video"}


def write_clip(path: Path, width: int, height: int, frames: int, still: bool, gop: int = 250) -> None:
    """A photograph seen by a camera that pans over it (or stands still), a second one carried through, noise, H.264."""
    from sklearn.datasets import load_sample_images
    from torchvision.transforms.v2 import functional

    rng = np.random.default_rng(0)
    temple, flower = (
        functional.resize(functional.to_image(image), size).permute(1, 2, 0).numpy()
        for image, size in zip(load_sample_images().images, ([height + 64, width + 64], [height // 4, width // 6]), strict=True)
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS, width=width, height=height, pix_fmt="yuv420p", gop_size=gop)
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
    """(a), as a function from a video to `box` (T, N, 4), cx cy w h relative to the frame, and `embedding` (T, 1 + N, C), whole
    frame first; and a second one that is asked about given boxes."""
    import open_clip
    import torch
    from transformers import pipeline

    from aadc.extract.crops import square_boxes

    detect = pipeline("object-detection", model=str(models / "detr"), threshold=0.0)
    detr, processor = detect.model, detect.image_processor
    clip, _, transform = open_clip.create_model_and_transforms(f"local-dir:{models / 'clip'}")
    clip.eval()

    def frames(path: Path):
        with av.open(str(path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index % STRIDE == STRIDE // 2:
                    yield frame.to_image()

    def embed(image, box_N4: np.ndarray) -> np.ndarray:
        pictures = [image, *(image.crop(tuple(box)) for box in square_boxes(box_N4, *image.size))]
        return np.stack([clip.encode_image(transform(picture)[None])[0].numpy() for picture in pictures])

    @torch.no_grad()
    def run(path: Path) -> dict[str, np.ndarray]:
        boxes, embeddings = [], []
        for image in frames(path):
            found = sorted(detect(image), key=lambda item: -item["score"])[:BOXES]
            corners = np.array([[item["box"][key] for key in ("xmin", "ymin", "xmax", "ymax")] for item in found], float)
            relative = corners / np.tile(image.size, 2)
            centred = np.concatenate([(relative[:, :2] + relative[:, 2:]) / 2, relative[:, 2:] - relative[:, :2]], 1)
            embeddings.append(embed(image, centred))
            boxes.append(centred)
        return {"box": np.array(boxes), "embedding": np.array(embeddings)}

    @torch.no_grad()
    def reference(path: Path, box_TN4: np.ndarray) -> dict[str, np.ndarray]:
        """What (a)'s models say of given boxes, and of the frames before anything is chosen or rounded. Not timed."""
        said: dict[str, list] = {name: [] for name in ("embedding", "encoder", "query", "query_box")}
        for image, box_N4 in zip(frames(path), box_TN4, strict=True):
            outputs = detr(**processor(images=image, return_tensors="pt"))
            said["embedding"].append(embed(image, box_N4))
            said["encoder"].append(outputs.encoder_last_hidden_state[0].mean(0).numpy())
            said["query"].append(outputs.last_hidden_state[0].numpy())
            said["query_box"].append(outputs.pred_boxes[0].numpy())
        return {name: np.array(values) for name, values in said.items()}

    return run, reference


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

    def run(path: Path) -> dict[str, np.ndarray]:
        found = video_features(path, embedder, decoder)
        embedding = np.concatenate([found.scene[:, None], found.crop], 1).astype(np.float32)
        return {"box": found.box, "embedding": embedding, "encoder": found.detr, "query": found.query}

    return run


def live(way: str, models: Path, pipe) -> None:
    """A way's own process: videos come in, (seconds, what `run` gives, peak memory in MB) go out; for (a) boxes may come along,
    and what its models say of them goes out."""
    if way == "a":
        run, reference = theirs(models)
    else:
        run = ours(models, "bf16" if way == "c" else "fp32", GATE if way == "d" else 0.0)
    pipe.send("ready")
    while (path := pipe.recv()) is not None:
        if isinstance(path, tuple):
            pipe.send(reference(*path))
            continue
        began = time.perf_counter()
        found = run(path)
        pipe.send((time.perf_counter() - began, found, peak_memory()))


def peak_memory() -> list[float]:
    """Of this process, then of its decoding child if it has one, MB; libraries that both map count in each."""
    listed = Path("/proc/self/task").glob("*/children")
    processes = ["self", *(pid for children in listed for pid in children.read_text().split())]
    status = (Path("/proc", process, "status").read_text() for process in processes)
    return [int(text.split("VmHWM:")[1].split()[0]) * 1024 / 1e6 for text in status]


def matrix_rate(dtype_name: str, size: int = 2048) -> float:
    """This machine's matrix products, in 1e9 operations a second: the best of several, by torch and by oneDNN."""
    import torch

    from aadc.extract.packed import PackedLinear, can_pack

    dtype = getattr(torch, dtype_name)
    linear = torch.nn.Linear(size, size, bias=False).requires_grad_(False)
    ways = [linear.to(dtype), *([PackedLinear(linear, dtype)] if can_pack("cpu", dtype) else [])]
    x, best = torch.randn(size, size).to(dtype), np.inf
    for _ in range(6):
        for way in ways:
            began = time.perf_counter()
            way(x)
            best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def operations(models: Path, width: int, height: int) -> float:
    """What the models compute for one frame and its boxes, in 1e9 operations, counted on the libraries' own modules."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    from aadc.extract.clip_model import load_clip

    detr = AutoModelForObjectDetection.from_pretrained(models / "detr").eval()
    inputs = AutoImageProcessor.from_pretrained(models / "detr")(np.zeros((height, width, 3), np.uint8), return_tensors="pt")
    clip = load_clip(str(models / "clip"))
    torch.backends.mha.set_fastpath_enabled(False)  # the counter sees nothing of fused attention
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        detr(**inputs)
        clip.model.encode_image(torch.zeros(1 + BOXES, 3, *clip.model.visual.image_size))
    return counter.get_total_flops() / 1e9


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of boxes (..., 4), cx cy w h relative to the frame, as far as they lie in it."""
    (low, high), (low_too, high_too) = (
        ((box[..., :2] - box[..., 2:] / 2).clip(0, 1), (box[..., :2] + box[..., 2:] / 2).clip(0, 1)) for box in (one, other)
    )
    inner = (np.minimum(high, high_too) - np.maximum(low, low_too)).clip(0).prod(-1)
    return inner / ((high - low).prod(-1) + (high_too - low_too).prod(-1) - inner)


def cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of vectors (..., C)."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    return (one * other).sum(-1) / (np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1))


def worst_and_mean(values: np.ndarray) -> str:
    return f"{values.min():.6f} {values.mean():.6f}"


def agreement(theirs: dict, said: dict, ours: dict) -> list[str]:
    """Lines: ours beside (a) end to end, on the same crops, and in DETR; `said` is what (a)'s models say of our boxes."""
    whole = cosine(theirs["embedding"], ours["embedding"])
    same = cosine(said["embedding"], ours["embedding"])
    to_query = cosine(ours["query"][:, :, None].astype(np.float32), said["query"][:, None])
    nearest = to_query.argmax(-1)
    query_box = np.take_along_axis(said["query_box"], nearest[..., None], 1)
    return [
        f"end to end: boxes' IoU {worst_and_mean(iou(theirs['box'], ours['box']))}, cosine of whole frames "
        f"{worst_and_mean(whole[:, 0])}, of crops {worst_and_mean(whole[:, 1:])}",
        f"on the same crops: cosine of whole frames {worst_and_mean(same[:, 0])}, of crops {worst_and_mean(same[:, 1:])}",
        f"in DETR: boxes' IoU {worst_and_mean(iou(query_box, ours['box']))}, cosine of encoder features "
        f"{worst_and_mean(cosine(said['encoder'], ours['encoder']))}, of decoder embeddings {worst_and_mean(to_query.max(-1))}",
    ]


def carried(ours: dict, computed: dict) -> str:
    """A line: rows of the gate beside computed ones of the same frames."""
    frames = slice(1, len(computed["box"]))  # the first is computed in any case
    box, whole = ours["box"][frames], ours["embedding"][frames, 0]
    return (
        f"of carried rows with computed ones: boxes' IoU {worst_and_mean(iou(box, computed['box'][frames]))}, cosine of whole "
        f"frames {worst_and_mean(cosine(whole, computed['embedding'][frames, 0]))}, of encoder features "
        f"{worst_and_mean(cosine(ours['encoder'][frames], computed['encoder'][frames]))}"
    )


def measure(models: Path, folder: Path, size: str, frames: int, rounds: int) -> None:
    """One size of video, all ways."""
    width, height = map(int, size.split("x"))
    moving, still, still_start = (folder / f"{size}-{name}.mp4" for name in ("moving", "still", "still-start"))
    write_clip(moving, width, height, STRIDE * frames, still=False)
    write_clip(still, width, height, STRIDE * frames * 8, still=True)
    write_clip(still_start, width, height, STRIDE * frames, still=True)
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
            took, answers[way], memory[way] = pipe.recv()
            seconds[way].append(took / len(answers[way]["box"]))
    said = {}
    for way in "bc":
        pipes["a"].send((moving, answers[way]["box"]))
        said[way] = pipes["a"].recv()
    pipes["b"].send(still_start)
    _, computed, _ = pipes["b"].recv()
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
        peak = " + ".join(f"{part:.0f}" for part in memory[way])
        print(f"({way}) {what}: {1 / each:.2f} sampled frames/s, {STRIDE / each:.1f} video frames/s, "
              f"{np.median(seconds['a']) / each:.2f} x (a){reached}, peak {peak} MB")  # fmt: skip
        if way in "bc":
            print(*(f"    agreement {line}" for line in agreement(answers["a"], said[way], answers[way])), sep="\n")
    print(f"    agreement {carried(answers['d'], computed)}")


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
