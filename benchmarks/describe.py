"""Descriptions: what each channel brings, and how often the model's own words are true.

    make demo && python benchmarks/describe.py runs/demo

(1) The test videos, greedy, before any check: with the facts alone (LLaMA as it is, in its chat template), with facts and the
learned tokens but no video, with video tokens alone, with facts and video tokens. `class right`: of an abnormal video a class
it has is named and no abnormal one it has not, a normal one is called normal. `true at first`: the checker finds nothing wrong
beside the detections. (2) What goes out for the same videos, and for made-up detections that belong to no video: true at first,
after the fault was named, or replaced by a composed sentence; words, and seconds each.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from aadc.eval.commands import detector_names, load
from aadc.eval.describe.checker import faults
from aadc.eval.describe.commands import LlmOptions, open_describer
from aadc.eval.describe.compose import as_text
from aadc.eval.describe.describer import How, describe, most_tokens
from aadc.eval.describe.examples import Names, made_up
from aadc.eval.describe.facts import Facts, plain
from aadc.eval.describe.template import Request
from aadc.eval.describe.videos import Describer
from aadc.eval.made_with import Choice
from aadc.eval.scores import Scored, score_split
from aadc.extract.run_choice import choose_run
from aadc.extract.shards import ShardSet
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row


def class_right(text: str, row: Row, describer: Describer) -> bool:
    """Whether a text says what a video's labels say."""
    card = describer.head.card
    abnormal = {plain(label) for label in row.labels if card.kind(label) == "abnormal"}
    every = {plain(entry.name) for entry in card.classes if entry.kind == "abnormal"}
    named = {name for name in every if name in text.lower()}
    if not abnormal:
        return not named and "normal" in text.lower() and "abnormal" not in text.lower()
    return bool(named & abnormal) and named <= abnormal


def channels(describer: Describer, rows: Sequence[Row], videos: Sequence[Scored]) -> None:
    """Part (1)."""
    facts = [describer.facts(one) for one in videos]
    shown = [describer.tokens(one) for one in videos]
    with torch.no_grad():
        hidden = describer.projector(None)
    blank = [Request(facts=as_text(one), max_tokens=most_tokens(one)) for one in facts]
    ways = {
        "facts, LLaMA as it is": blank,
        "facts, learned tokens, no video": [replace(one, tokens=hidden) for one in blank],
        "video tokens alone": [replace(one, facts=None, tokens=soft) for one, soft in zip(blank, shown, strict=True)],
        "facts and video tokens": [replace(one, tokens=soft) for one, soft in zip(blank, shown, strict=True)],
    }
    print(f"| channels, {len(rows)} test videos | class right | true at first | seconds each |\n| --- | ---: | ---: | ---: |")
    for name, asked in ways.items():
        began = time.perf_counter()
        texts = describer.llm(asked)
        took = (time.perf_counter() - began) / len(asked)
        right = sum(class_right(text, row, describer) for text, row in zip(texts, rows, strict=True))
        true = sum(not faults(text, one, describer.words) for text, one in zip(texts, facts, strict=True))
        print(f"| {name} | {100 * right / len(rows):.1f} % | {100 * true / len(rows):.1f} % | {took:.2f} |", flush=True)
    classes = sum(entry.kind == "abnormal" for entry in describer.head.card.classes) + 1
    print(f"\nnaming one of {classes} (the abnormal classes, or normal) by chance: {100 / classes:.1f} %\n")


def goes_out(describer: Describer, what: str, facts: Sequence[Facts], tokens: Sequence[torch.Tensor]) -> None:
    """Part (2): a row of the second table."""
    began = time.perf_counter()
    made = list(describe(facts, tokens, describer.words, describer.llm))
    took = (time.perf_counter() - began) / len(made)
    count = Counter(one.how for one in made)
    wrong = sum(bool(faults(one.text, fact, describer.words)) for one, fact in zip(made, facts, strict=True))
    words = sum(len(one.text.split()) for one in made) / len(made)
    shares = " | ".join(f"{100 * count[how] / len(made):.1f} %" for how in (How.first, How.retry, How.composed))
    print(f"| {what} | {len(made)} | {shares} | {wrong} | {words:.1f} | {took:.2f} |", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--made-up", type=int, default=200, help="detections that belong to no video")
    given = parser.parse_args()
    run = choose_run(given.run)
    shards = ShardSet(run.shards)
    names = detector_names(shards)
    head = load(run, Choice(), None, "cpu")
    describer = open_describer(head, run.head, names, LlmOptions(timeout_s=600.0), "cpu")
    if describer.projector is None:
        raise UserError(f"{run.head}: no describer was trained; run aadc-train-describer first")
    rows = [row for row in run.manifest().split("test") if row.key in shards.entries]
    scored = score_split(head, shards, rows, 0.5)
    videos = [scored[row.key] for row in rows]
    channels(describer, rows, videos)
    print("| what goes out | texts | as the model wrote | second try | composed | false | words | seconds each |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    goes_out(describer, "test videos", [describer.facts(one) for one in videos], [describer.tokens(one) for one in videos])
    kinds = {kind: [entry.name for entry in head.card.classes if entry.kind == kind] for kind in ("abnormal", "normal")}
    chance = random.Random("made-up detections of the benchmark")
    facts = [made_up(Names(kinds["abnormal"], kinds["normal"], list(names.values())), chance) for _ in range(given.made_up)]
    with torch.no_grad():
        hidden = describer.projector(None)
    goes_out(describer, "made-up detections", facts, [hidden] * len(facts))


if __name__ == "__main__":
    main()
