"""What a language model is asked, in the paper's template (III-F) or as chat messages. Names from files are plain words."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from aadc.manifests.errors import UserError

QUESTION = "Can you describe this video?"
MOST_FAULTS = 3  # named in a second try
LONGEST = 300  # characters of a question
STOPS = ("###", "\n", "<Video>")  # where an answer ends, in the paper's template
_ROLE = (
    "You tell an operator what happened in a surveillance video. Answer in one sentence, from the facts alone: copy classes, "
    "times and numbers as they are, and add nothing."
)
_EXAMPLE = (
    f"{QUESTION}\nShown: abnormal activity: theft from 00:41 to 00:58 with 2 persons"
    "\nHow sure: theft confidence 0.93, share 0.88",
    "Yes, the video shows abnormal activity: theft from 00:41 to 00:58 with 2 persons.",
)


@dataclass(frozen=True)
class Request:
    """One answer wanted.

    question: the operator's; facts: the facts channel as lines, None to leave it out; tokens: float (J, E), the video tokens,
    None to leave them out; wrong: an answer already given and what is wrong with it; max_tokens: most new tokens.
    """

    question: str = QUESTION
    facts: str | None = None
    tokens: Tensor | None = None
    wrong: tuple[str, Sequence[str]] | None = None
    max_tokens: int = 64


def paper_prompt(request: Request) -> tuple[str, str]:
    """The paper's template as text before and after the place of the video tokens (all of it is after where there are none)."""
    after = f"{request.question}"
    if request.facts is not None:
        after += f"\n### AADC-Net: {request.facts}"
    after += "\n### Assistant:"
    if request.wrong:
        after += f" {request.wrong[0]}\n### Human: {_correction(request.wrong[1], request.question)}\n### Assistant:"
    if request.tokens is None:
        return "", f"### Human: {after}"
    return "### Human: <Video>", f"</Video> {after}"


def chat_messages(request: Request) -> list[dict[str, str]]:
    """The same as messages of a chat model, with one example. Without a system message: some templates refuse one."""
    asked = f"{request.question}\n{request.facts or 'No facts are known.'}"
    messages = [
        {"role": "user", "content": f"{_ROLE}\n\n{_EXAMPLE[0]}"},
        {"role": "assistant", "content": _EXAMPLE[1]},
        {"role": "user", "content": asked},
    ]
    if request.wrong:
        messages += [
            {"role": "assistant", "content": request.wrong[0]},
            {"role": "user", "content": _correction(request.wrong[1], request.question)},
        ]
    return messages


def _correction(faults: Sequence[str], question: str) -> str:
    return f"That is not right: {'; '.join(faults)}. {question}"


def clean(text: str) -> str:
    """An answer without what follows it, on one line."""
    for stop in STOPS:
        text = text.strip().split(stop)[0]
    return " ".join(text.split())


def harmless(question: str) -> str:
    """An operator's question on one line, without the template's marks.

    Raises:
        UserError: it is longer than a question may be.
    """
    kept = " ".join(question.replace("###", " ").replace("<", " ").replace(">", " ").split())
    if len(kept) > LONGEST:
        raise UserError(f"the question has {len(kept)} characters, and {LONGEST} are read; ask in fewer words")
    return kept
