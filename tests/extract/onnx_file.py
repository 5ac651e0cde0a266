"""The weights of an ONNX file by the module that uses them, with no more than the file's own encoding (protocol buffers)."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}  # TensorProto.DataType


def module_weights(path: Path) -> dict[str, np.ndarray]:
    """Each convolution's, product's, sum's constants as `module.role`, the module as its authors named it.

    Roles: `weight` and `bias` of a convolution or a Gemm as torch has them, `matmul`, `matmul_1` ... (in, out) and `add`,
    `add_1` ... of products and sums written out, in the graph's order, `mul` of a scale. A module called twice counts once.
    """
    graph = next(value for field, value in _fields(path.read_bytes()) if field == 7)
    constants, nodes = {}, []
    for field, value in _fields(graph):
        if field == 5:
            name, array = _tensor(value)
            constants[name] = array
        elif field == 1:
            nodes.append(_node(value))
    found: dict[str, np.ndarray] = {}
    taken: set[str] = set()
    for name, kind, inputs in nodes:
        own = [one for one in inputs if one in constants and constants[one].dtype == np.float32]
        *parts, last = name.strip("/").split("/")
        module = ".".join(part for part, after in pairwise([*parts, ""]) if not after.startswith(f"{part}."))
        if kind in ("Conv", "Gemm"):
            found |= {f"{module}.{role}": constants[one] for role, one in zip(("weight", "bias"), own, strict=True)}
        elif kind in ("MatMul", "Add", "Mul") and own and own[0] not in taken and constants[own[0]].size:
            taken.add(own[0])
            found[f"{module}.{last.lower()}"] = constants[own[0]]
    return found


def _node(data: bytes) -> tuple[str, str, list[str]]:
    """Name, operator and inputs."""
    fields = list(_fields(data))
    texts = {number: [bytes(value).decode() for field, value in fields if field == number] for number in (1, 3, 4)}
    return texts[3][0], texts[4][0], texts[1]


def _tensor(data: bytes) -> tuple[str, np.ndarray]:
    shape, name, kind, raw = [], "", 1, b""
    for field, value in _fields(data):
        if field == 1:
            shape += [value] if isinstance(value, int) else _integers(value)
        elif field == 2:
            kind = value
        elif field == 8:
            name = bytes(value).decode()
        elif field in (4, 9):  # floats one by one, or the bytes of all
            raw += value
    if not raw:  # small integers, which are no weights
        return name, np.zeros(0, np.int64)
    return name, np.frombuffer(raw, _TYPES[kind]).reshape(shape)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """A message's fields: number, and an integer or the bytes."""
    place = 0
    while place < len(data):
        key, place = _integer(data, place)
        if key & 7 == 0:
            value, place = _integer(data, place)
            yield key >> 3, value
            continue
        if key & 7 == 2:
            size, place = _integer(data, place)
        else:
            size = {1: 8, 5: 4}[key & 7]
        yield key >> 3, data[place : place + size]
        place += size


def _integers(data: bytes) -> list[int]:
    found, place = [], 0
    while place < len(data):
        value, place = _integer(data, place)
        found.append(value)
    return found


def _integer(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
