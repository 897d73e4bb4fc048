"""Runs the emulator for as long as its standard input stays open.

The pipe closes when whoever started this ends, however that happens; then the functions' processes end with it.

What the roles of the functions ask to be allowed is written to the file that is the argument.
"""

import json
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
from ministack.core import iam_evaluator  # noqa: E402

# Over TLS as AWS: the services that are called here speak HTTP/1.1.
Config.alpn_protocols = ["http/1.1"]


def record_authorizations(path):
    """Writes down what a role is granted or denied, each once: IAM decides thousands of times about the same few."""
    decide = iam_evaluator.enforce
    file = open(path, "w", buffering=1)
    recorded = set()

    def recording(access_key_id, action, service, region, resource_arn="*", service_context=None):
        denied = decide(access_key_id, action, service, region, resource_arn, service_context)
        caller = iam_evaluator.resolve_caller_identity(access_key_id)
        if caller and ":assumed-role/" in caller["userArn"]:
            role = caller["userArn"].split("/")[1]
            authorization = json.dumps(
                {"role": role, "action": action, "resource": resource_arn, "granted": denied is None}
            )
            if authorization not in recorded:
                recorded.add(authorization)
                file.write(authorization + "\n")
        return denied

    # Every service looks it up by this name when it is called.
    iam_evaluator.enforce = recording


# The emulator reads the arguments that are left.
record_authorizations(sys.argv.pop(1))
app.main()
