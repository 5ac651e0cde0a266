"""mAP@IoU over the real test segments of UCF-Crime and XD-Violence: ours beside the published rules written the obvious way.

python benchmarks/detection_map.py [ucf|xd …]
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import platform
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "golden"))
from published_map import golden, plain_map, real_predictions, real_truth

from aadc.eval.detection_map import detection_map


def main(datasets: list[str]) -> None:
    """Print seconds of both ways, and how far each is from the published figures."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, one used; Python {platform.python_version()}, numpy {np.__version__}")
    for dataset in datasets:
        segments, labels, classes = real_truth(dataset)
        predictions = real_predictions(dataset, segments, labels, classes)
        case = (predictions, segments, labels, classes, golden()["iou"])
        frames = sum(map(len, predictions))
        print(f"{dataset}: {len(predictions)} videos, {frames} frames, {len(classes)} classes, 5 bars of IoU")
        seconds = {}
        for name, way in (("ours", detection_map), ("plain", plain_map)):
            began = time.perf_counter()
            found = way(*case)
            seconds[name] = time.perf_counter() - began
            off = np.abs(np.array(found) - golden()[dataset]["map_percent"]).max()
            print(f"  {name:5} {seconds[name]:7.2f} s, at most {off:.1e} from the published figures")
        print(f"  {seconds['plain'] / seconds['ours']:.0f} times as fast")


if __name__ == "__main__":
    main(sys.argv[1:] or ["ucf", "xd"])
