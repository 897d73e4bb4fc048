"""Runs the emulator for as long as standard input stays open.

The pipe closes when the parent process ends, for whatever reason. Then this process ends too, and
so do the processes of the functions.

The argument is the file in which IAM's decisions about the roles of the functions are recorded.
"""

import json
import os
import random
import secrets
import shutil
import signal
import sys
import threading
import time


def end_with_parent():
    sys.stdin.buffer.read()
    try:
        # Ends the processes of the functions and waits for them, so that no zombie is left.
        if runtime := sys.modules.get("ministack.core.lambda_runtime"):
            runtime.reset()
    finally:
        # The unpacked code of the functions takes a quarter of a gigabyte in debug builds.
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
        os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_parent, daemon=True).start()

# Imported late, because the import takes a while and the parent may end meanwhile.
from hypercorn.config import Config  # noqa: E402
from ministack import app  # noqa: E402
from ministack.core import iam_evaluator  # noqa: E402
from ministack.services import apigateway, eventbridge, lambda_svc  # noqa: E402
from ministack.services.cloudformation import provisioners  # noqa: E402

# The AWS services that the functions call speak HTTP/1.1 over TLS.
Config.alpn_protocols = ["http/1.1"]


def record_authorizations(path):
    """Records each decision about a role once. IAM makes the same few thousands of times."""
    decide = iam_evaluator.enforce
    file = open(path, "w", buffering=1)
    recorded = set()

    def recording(access_key_id, action, service, region, resource_arn="*", service_context=None):
        denied = decide(access_key_id, action, service, region, resource_arn, service_context)
        caller = iam_evaluator.resolve_caller_identity(access_key_id)
        if caller and ":assumed-role/" in caller["userArn"]:
            authorization = json.dumps(
                {
                    "role": caller["userArn"].split("/")[1],
                    "action": action,
                    "resource": resource_arn,
                    "granted": denied is None,
                }
            )
            if authorization not in recorded:
                recorded.add(authorization)
                file.write(authorization + "\n")
        return denied

    # Every service looks the function up by this name for each call.
    iam_evaluator.enforce = recording


def trace_requests():
    """Adds the header with a trace's id that HTTP APIs add to each request."""
    execute = apigateway.handle_execute

    async def traced(api_id, stage, path, method, headers, *others, **named):
        root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        headers = {"x-amzn-trace-id": f"Root={root}", **(headers or {})}
        return await execute(api_id, stage, path, method, headers, *others, **named)

    apigateway.handle_execute = traced


def deploy_archives():
    """Lets CloudFormation create and change archives of event buses, which the emulator has."""

    def settings(name, properties):
        return {
            "ArchiveName": name,
            "EventSourceArn": properties["SourceArn"],
            "EventPattern": json.dumps(properties["EventPattern"]),
            "RetentionDays": properties["RetentionDays"],
        }

    def described(name, answered):
        status, _, answer = answered
        if status != 200:
            raise ValueError(answer)
        return name, {"Arn": json.loads(answer)["ArchiveArn"], "ArchiveName": name}

    def create(logical_id, properties, stack):
        name = properties.get("ArchiveName") or f"{stack}-{logical_id}"
        return described(name, eventbridge._create_archive(settings(name, properties)))

    def update(name, _old, properties, _stack):
        return described(name, eventbridge._update_archive(settings(name, properties)))

    def delete(name, _properties):
        eventbridge._delete_archive({"ArchiveName": name})

    handlers = {"create": create, "update": update, "delete": delete}
    provisioners._RESOURCE_HANDLERS["AWS::Events::Archive"] = handlers


def replay_to_some_rules():
    """Lets a replay reach no other rules than those that it names, which the emulator ignores."""
    dispatch = eventbridge._dispatch_event

    def dispatch_filtered(event, view=None):
        replay = eventbridge._replays.get(event.get("ReplayName"))
        wanted = replay and replay["Destination"].get("FilterArns")
        if wanted:
            # The emulator skips the rules that an event says it has come through.
            others = [key for key, rule in eventbridge._rules.items() if rule["Arn"] not in wanted]
            event = {**event, "_DispatchPath": others}
        dispatch(event, view)

    # A replay looks the function up by this name for each event.
    eventbridge._dispatch_event = dispatch_filtered


def share_calls_of_an_alias():
    """Gives the second version of an alias its share of the calls, which the emulator ignores."""
    resolve = lambda_svc._effective_func_record_for_qualifier

    def resolve_share(function, qualifier):
        alias = function["aliases"].get(qualifier) if function else None
        shares = (alias or {}).get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        for version, share in shares.items():
            if random.random() < share:
                return resolve(function, version)
        return resolve(function, qualifier)

    # The API and the pollers of queues and streams look the function up by this name for each call.
    lambda_svc._effective_func_record_for_qualifier = resolve_share


def move_mappings_to_an_alias():
    """Lets a deployment change the alias that a mapping calls; the emulator keeps the old one."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    update = handlers["update"]

    def update_alias(physical_id, old, new, stack):
        mapping, attributes = update(physical_id, old, new, stack)
        _, alias = lambda_svc._resolve_name_and_qualifier(new["FunctionName"])
        lambda_svc._esms[mapping]["Qualifier"] = alias
        return mapping, attributes

    handlers["update"] = update_alias


# The emulator parses the remaining arguments.
record_authorizations(sys.argv.pop(1))
trace_requests()
deploy_archives()
replay_to_some_rules()
share_calls_of_an_alias()
move_mappings_to_an_alias()
app.main()
