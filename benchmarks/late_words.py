"""How late a language model's words come while cameras are scored: two looping recordings of the demo, at their own speed.

    python benchmarks/late_words.py                            # SmolLM2-135M, eight minutes, on what `make demo` made
    python benchmarks/late_words.py --minutes 20 --llm none    # what the cameras alone come to

Says when the model described its first event, and of all events that ended with enough time left: how many got its words, how
long after their end in the store they came (p50, p95); the share of due snippets that was scored meanwhile, and how old a frame
was as its score was known.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from soak import free_port

from aadc.live.demo import abnormal_videos
from aadc.live.reader import Reader
from aadc.manifests.errors import UserError

EVERY_S = 0.25
LEFT_S = 60.0  # an event that ended later than so long before the end of it all is not counted


def main() -> None:
    """Watch, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--scenes", type=Path, default=Path("demo"))
    parser.add_argument("--out", type=Path, default=Path("late-words"), help="a folder that is not there yet")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--llm", default="smollm2")
    given = parser.parse_args()
    folder = given.out.resolve()
    folder.mkdir(parents=True)
    text = f'data = "{folder}/data"\nrun = "{given.run.resolve()}"\n[web]\nport = {free_port()}\n[words]\nllm = "{given.llm}"\n'
    for number, video in enumerate(abnormal_videos(given.scenes, 2)):
        source = given.scenes.resolve() / "videos" / video
        text += f'[[camera]]\nname = "camera {number}"\nsource = "{source}"\nloop = true\n'
    path = folder / "cameras.toml"
    path.write_text(text)
    path.chmod(0o600)
    ended: dict[str, float] = {}
    described: dict[str, float] = {}
    with (folder / "log").open("w") as log:
        program = subprocess.Popen([sys.executable, "-m", "aadc.live.cli", str(path)], stdout=log, stderr=log, cwd=folder)
        began = time.monotonic()
        while time.monotonic() - began < given.minutes * 60 and program.poll() is None:
            time.sleep(EVERY_S)
            with suppress(UserError):
                reader = Reader(folder / "data" / "events.sqlite")
                for kept in reader.events(most=1000):
                    now = time.monotonic() - began
                    if not kept.event.open:
                        ended.setdefault(kept.event.id, now)
                    if kept.how.startswith("model"):
                        described.setdefault(kept.event.id, now)
                reader.close()
        if program.poll() is not None:
            sys.exit(f"it did not run; see {folder / 'log'}")
        score = json.loads((folder / "data" / "status.json").read_text())["score"]
        program.send_signal(signal.SIGTERM)
        code = program.wait(60)
    counted = [event for event, second in ended.items() if second < given.minutes * 60 - LEFT_S]
    late = [described[event] - ended[event] for event in counted if event in described]
    first = f"the first words after {min(described.values()):.0f} s, " if described else "no words of the model, "
    print(f"{first}{len(counted)} events ended in time, {len(late)} have words of the model")
    if late:
        print("seconds after the end: p50 {:.1f}, p95 {:.1f}".format(*np.percentile(late, [50, 95])))
    shares = [one["real_time"] for one in score["cameras"].values()]
    print(f"share of due snippets that was scored: {', '.join(map(str, shares))}")
    print(f"age of a frame: {score['age_s']}; ended with status {code}")


if __name__ == "__main__":
    main()
