"""The process with the language model: describes events after their end, slowly, and in nobody's way.

What it has to do stands in the store, so it may be killed at any moment: words are all that is late then.
"""

import os
import sys
import time
from pathlib import Path

from aadc.live.back_off import BackOff
from aadc.live.config import Words
from aadc.live.credentials import hide_credentials
from aadc.live.frame_slot import FrameSlot
from aadc.live.job import read_job
from aadc.live.read_config import parse_config
from aadc.manifests.errors import UserError
from aadc.manifests.records import Record
from aadc.manifests.shown import say

LOOKS_EVERY_S = 1.0
FATAL = 2  # exit status: it would be the same the next time
_LOWEST = 19


class DescribeJob(Record):
    """What the process is asked to do. `config`, `text`: as of `score.ScoreJob`; `status`: descriptor of a slot whose beat says
    that it lives."""

    config: str
    text: str
    run: str
    status: int


def hangs_s(words: Words) -> float:
    """How long nothing may be heard of the process: it asks twice about an event."""
    return 2 * words.timeout_s + 60.0


def main() -> None:
    """The process: reads its job, describes what is due until it is ended."""
    os.nice(_LOWEST)
    job = read_job(DescribeJob)
    secrets: tuple[str, ...] = ()
    try:
        read = parse_config(job.text, Path(job.config))
        secrets = read.secrets
        _describe(job, read.config.words, read.config.data, secrets)
    except UserError as error:
        say(hide_credentials(f"words: {error}", secrets), err=True)
        sys.stderr.flush()
        os._exit(FATAL)


def _describe(job: DescribeJob, asked: Words, data: Path, secrets: tuple[str, ...]) -> None:
    status = FrameSlot(job.status)
    import torch  # heavy, as what follows

    from aadc.eval.describe.describer import LanguageModel
    from aadc.eval.describe.llm import DEFAULT, Llm
    from aadc.eval.describe.reading import vocabulary
    from aadc.extract.run_folder import RunFolder
    from aadc.live.store import STORE, Store
    from aadc.live.words import EventWords
    from aadc.manifests.extras import needed

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
    run = RunFolder(Path(job.run))
    card, names = run.manifest().card, run.record().models.get("detector", {}).get("class_names", {})
    llm: LanguageModel
    if asked.url is not None:
        with needed("words.url", "words"):
            from aadc.eval.describe.endpoint import Endpoint

        llm = Endpoint(asked.url.get_secret_value(), asked.llm or DEFAULT, timeout_s=asked.timeout_s)
    else:
        assert asked.llm is not None
        llm = Llm(asked.llm, timeout_s=asked.timeout_s)
    say(f"words: {llm.source} describes events")

    def told(what: str) -> None:
        say(hide_credentials(f"words: {what}", secrets), err=True)

    store, back_off = Store(data / STORE), BackOff()
    words = EventWords(store, vocabulary(card, names.values() if isinstance(names, dict) else ()), llm, told)
    while True:
        status.beat()
        done = words.describe_one()
        if done:
            back_off.worked()
            continue
        until = time.monotonic() + (back_off.failed() if done is False else LOOKS_EVERY_S)
        while time.monotonic() < until:
            status.beat()
            time.sleep(min(LOOKS_EVERY_S, max(0.0, until - time.monotonic())))
