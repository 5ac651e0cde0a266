"""A package that is not installed is a sentence with the way to it."""

import subprocess
import sys

import pytest

from aadc.manifests.errors import UserError
from aadc.manifests.extras import needed


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(UserError, match=r"--x needs nowhere_at_all, .*pip install 'aadc-net\[words\]'"), needed("--x", "words"):
        import nowhere_at_all.deep  # noqa: F401
    with pytest.raises(ZeroDivisionError), needed("--x", "words"):
        1 / 0  # noqa: B018


@pytest.mark.parametrize(
    ("package", "code", "extra"),
    [
        ("distributed", "from aadc.extract.cluster import connect\nwith connect(2, None): pass", "cluster"),
        ("dask", "from aadc.extract.cluster import connect\nwith connect(1, 'tcp://127.0.0.1:1'): pass", "cluster"),
        ("pycocoevalcap", "from aadc.eval.describe.text_metrics import _library\n_library()", "words"),
        ("accelerate", "from aadc.eval.describe.llm import Llm\nLlm('./nowhere')", "words"),
        ("gguf", "from aadc.eval.describe.llm import Llm\nLlm('smollm2')", "words"),
    ],
)
def test_where_each_is_needed(package, code, extra):
    """In a process where the package cannot be found."""
    hide = f"import sys\nsys.modules[{package!r}] = None\nfrom aadc.manifests.errors import UserError\ntry:\n    "
    hide += code.replace("\n", "\n    ") + "\nexcept UserError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True)
    assert f"needs {package}, " in done.stdout and f"aadc-net[{extra}]" in done.stdout, done
