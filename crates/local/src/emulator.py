"""Runs the emulator for as long as its standard input stays open.

The pipe closes when whoever started this ends, however that happens; then the functions' processes end with it.
"""

import os
import shutil
import signal
import sys
import threading


def end_with_parent():
    sys.stdin.buffer.read()
    try:
        # Ends the functions and collects them, so that none is left as a zombie.
        if runtime := sys.modules.get("ministack.core.lambda_runtime"):
            runtime.reset()
    finally:
        # The functions' unpacked code: a quarter of a gigabyte in debug builds.
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
        os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_parent, daemon=True).start()

from hypercorn.config import Config  # noqa: E402 - takes a while, and the parent may be gone by then
from ministack import app  # noqa: E402

# Over TLS as AWS: the services that are called here speak HTTP/1.1.
Config.alpn_protocols = ["http/1.1"]

app.main()
