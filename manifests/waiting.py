"""How threads wait for each other: asleep.

torch and scikit-learn share a product out among threads that meet at its end. By default whoever comes first spins until the
others are there; on a machine with other work these are not running, and what spins keeps them from it. On two cores beside
one other process that made the miniatures thirteen times slower than threads that sleep (`benchmarks/busy.py`).

The libraries read this once, when they are loaded; so every package that computes imports this module before anything else.
Whoever has set one of them is heeded.
"""

import os

for _name, _value in {
    "OMP_WAIT_POLICY": "PASSIVE",  # OpenMP: torch, scikit-learn
    "OPENBLAS_THREAD_TIMEOUT": "4",  # OpenBLAS: numpy, scipy; 2^4 cycles
}.items():
    os.environ.setdefault(_name, _value)
