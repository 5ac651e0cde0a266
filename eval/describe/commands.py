"""What `aadc-describe` and `aadc-ask` do once their options are read."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from aadc.eval.describe.checker import faults
from aadc.eval.describe.describer import How, most_tokens, write_checked
from aadc.eval.describe.llm import DEFAULT, NONE, Llm
from aadc.eval.describe.question import answer_faults, composed_answer, facts_for, moments, subjects, without_yes
from aadc.eval.describe.saved import check_llm, describer_folder, load_projector, read_record
from aadc.eval.describe.template import Request, harmless
from aadc.eval.describe.videos import Describer, describe_into, summary
from aadc.eval.scores import Scored
from aadc.extract.devices import choose_device
from aadc.extract.run_choice import next_step
from aadc.extract.run_folder import RunFolder
from aadc.head.checkpoint import LoadedHead
from aadc.manifests.errors import UserError
from aadc.manifests.extras import needed
from aadc.manifests.shown import say

STDERR = Console(stderr=True)


@dataclass(frozen=True)
class LlmOptions:
    """Which language model, and how it writes. `source` None: the describer's, where none was trained none; `none`: none."""

    source: str | None = None
    url: str | None = None
    temperature: float = 0.0
    seed: int = 0
    timeout_s: float = 120.0


def open_describer(head: LoadedHead, folder: Path, names: Mapping[str, str], options: LlmOptions, device: str) -> Describer:
    """The language model with, where one was trained beside the head in `folder`, its projector; or neither, and it is said
    that words are composed then: nothing that only a language model needs is imported for that, and nothing downloaded.

    Behind an address no video tokens can be given: facts alone go there.

    Raises:
        UserError: the model is not there, or not the one the projector was trained with; `none` at an address.
    """
    if options.source == NONE and options.url:
        raise UserError(f"--llm {NONE} and --llm-url exclude each other: leave one of them out")
    untrained = not (options.source or options.url or read_record(describer_folder(folder)))
    if untrained or options.source == NONE:
        why = ": no describer was trained; aadc-train-describer trains one, --llm names a model" if untrained else ""
        say(f"words are {How.unasked}{why}")
        return Describer(head, names, None, None, {"llm": None, "projector": None})
    sampling = (options.temperature, options.seed, options.timeout_s)
    made_with: dict = {"temperature": options.temperature, "seed": options.seed}
    if options.url:
        with needed("--llm-url", "words"):
            from aadc.eval.describe.endpoint import Endpoint

        endpoint = Endpoint(options.url, options.source or DEFAULT, *sampling)
        made_with |= {"llm": f"{endpoint.shown_url} {endpoint.source}", "projector": None}
        return Describer(head, names, endpoint, None, made_with)
    saved = load_projector(folder)
    source = options.source or (saved.llm if saved else DEFAULT)
    with STDERR.status("loading the language model"):
        llm = Llm(source, choose_device(device), *sampling)
        if saved:
            check_llm(saved, llm)
    made_with |= {"llm": f"{source} {llm.weights[:16]}", "projector": saved.record.weights if saved else None}
    return Describer(head, names, llm, saved.projector if saved else None, made_with)


def describe_split(describer: Describer, videos: Sequence[Scored], path: Path) -> list[dict]:
    """Describe scored videos into `path`, say every sentence and how they were made; gives the rows."""
    with Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task("describing", total=len(videos))
        rows = describe_into(path, describer, videos, lambda: bar.advance(task))
    for row in rows:
        say(f"{row['video']}: {marked(row['text'], row['how'])}")
    say(f"{summary(rows)}: {path}")
    return rows


def marked(text: str, how: str) -> str:
    """A text as it is shown: a composed one says so."""
    return f"{text} [composed]" if how == How.composed else text


def ask(describer: Describer, question: str, scored: Scored, run: RunFolder) -> None:
    """Answer a question about one video, and say the moments the answer rests on. `run`: for the command that is named next.

    Raises:
        UserError: there is no question, or one that is too long.
    """
    asked_text = harmless(question)
    if not asked_text:
        raise UserError('there is no question; for example aadc-ask "was anybody on the phone?" VIDEO')
    facts, words, card = describer.facts(scored), describer.words, describer.head.card
    asked = subjects(asked_text, card, list(describer.names.values()), facts)
    fallback = composed_answer(asked, facts)
    if not all(one.known for one in asked):
        say(fallback)  # no model is asked for what nobody looked for: it would make something up
        find = next_step(run, shlex.join(["aadc-find", asked_text]))
        say(f"next: {find} shows the frames of this run that look most like it")
    elif describer.llm is None:
        say(fallback)
    else:
        request = Request(asked_text, facts_for(asked, facts), describer.tokens(scored), max_tokens=most_tokens(facts))

        def judge(text: str) -> list[str]:
            return answer_faults(text, asked, facts, words) if asked else faults(without_yes(text), facts, words)

        with STDERR.status("asking the language model"):
            (found,) = write_checked([request], [judge], [fallback], describer.llm)
        say(marked(found.text if asked else without_yes(found.text), found.how))
    for moment in moments(asked, scored, facts, card, describer.names):
        say(f"  rests on {moment}")
