"""The language model behind an OpenAI-compatible address (llama.cpp's server, vLLM, Ollama): facts only, as chat messages."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx2

from aadc.eval.describe.template import Request, chat_messages, clean
from aadc.manifests.errors import UserError

KEY = "AADC_LLM_KEY"
_AT_ONCE = 4


class Endpoint:
    """A chat model at `url` (the part before `/chat/completions`, for example http://127.0.0.1:8080/v1).

    A key, where one is needed, is read from the environment variable AADC_LLM_KEY.

    Args:
        source: the model's name there.
        timeout_s: seconds without a word from the server, after which an answer is given up.
    """

    weights = ""  # what lies behind an address cannot be known

    def __init__(self, url: str, source: str, temperature: float = 0.0, seed: int = 0, timeout_s: float = 120.0):
        if not url.startswith(("http://", "https://")):
            raise UserError(
                f"--llm-url {url}: an address begins with http:// or https://, for example http://127.0.0.1:8080/v1"
            )
        self.key = os.environ.get(KEY, "")
        if not (self.key.isascii() and self.key.isprintable()):
            raise UserError(f"{KEY}: a key has printable ASCII characters alone")
        self.url, self.source = url.rstrip("/"), source
        self.temperature, self.seed, self.timeout_s = temperature, seed, timeout_s

    def __call__(self, requests: Sequence[Request]) -> list[str]:
        """An answer to each, in their order; an empty one where the server took too long.

        Raises:
            UserError: nobody answers there, or not as the protocol says.
        """
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with httpx2.Client(headers=headers, timeout=self.timeout_s) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda request: self._one(client, request), requests))

    def _one(self, client: httpx2.Client, request: Request) -> str:
        asked = {
            "model": self.source,
            "messages": chat_messages(request),
            "temperature": self.temperature,
            "seed": self.seed,
            "max_tokens": request.max_tokens,
        }
        try:
            reply = client.post(f"{self.url}/chat/completions", json=asked)
        except httpx2.TimeoutException:
            return ""
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise UserError(
                f"--llm-url {self.url}: nobody answers there ({type(error).__name__}); is the server running?"
            ) from None
        if reply.status_code != 200:
            told = "".join(char for char in " ".join(reply.text.split()) if char.isprintable())[:200]
            raise UserError(f"--llm-url {self.url}: the server refuses with status {reply.status_code} ({told})")
        try:
            text = reply.json()["choices"][0]["message"]["content"] or ""
            return clean(text.encode("utf-8", "replace").decode())  # a lone surrogate cannot be written to a file
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise UserError(f"--llm-url {self.url}: its answer is not that of an OpenAI-compatible server") from None
