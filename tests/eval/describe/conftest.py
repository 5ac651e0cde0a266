"""The tiny language models, for all tests here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tiny_models import tiny_chat_llama, tiny_llama  # noqa: E402, F401
