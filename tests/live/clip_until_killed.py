"""A process that records a clip until it is killed; says the stream's second of each frame that it gave to the recorder."""

import os
import sys
import time
from pathlib import Path

from made_events import messages
from pictures import jpeg_of

from aadc.live.clips import Recorder
from aadc.live.store import Store

data = Path(sys.argv[1])
store, recorder = Store(data / "events.sqlite"), Recorder(data, lambda *_: None)
first, *_ = messages(0)
store.put(first).result()
recorder.tell(first)
for number in range(10_000):
    while recorder.waiting:
        time.sleep(0.001)
    recorder.add(jpeg_of(number), number / 10)
    os.write(1, f"{number / 10}\n".encode())
