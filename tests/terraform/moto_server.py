"""moto's server, and what terraform/aws asks of AWS that moto (5.2) does not know.

That is: CloudFront's response header policies, composite alarms, a budget's subscribers and tags, replicas of a
DynamoDB table. What is added keeps what it is given and judges nothing: it shows that the provider can create, read
and delete these resources, not that AWS would take them. And moto does not read the conditions of a bucket's policy,
so that refusing plain HTTP would refuse everybody: here buckets refuse nobody. Nor is moto made for threads, or for a
call that comes again because its answer was lost: here it is one call at a time, and who asks again hears the same.
Each call is printed: who, and what.
"""

import contextlib
import copy
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from moto import server
from moto.budgets.responses import BudgetsResponse
from moto.cloudfront import urls
from moto.cloudfront.responses import CloudFrontResponse
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.iam.access_control import PermissionResult
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.s3.models import FakeBucket
from werkzeug.wrappers import Response

from tests.terraform.terraform import ROOT


class HeaderPolicies(CloudFrontResponse):
    """Response header policies; a policy's id is also its ETag."""

    policies: ClassVar[dict[str, Any]] = {}

    def create_response_headers_policy(self) -> ActionResult:
        key = str(uuid.uuid4())
        self.policies[key] = self._get_param("ResponseHeadersPolicyConfig")
        return self._policy(key)

    def get_response_headers_policy(self) -> ActionResult:
        return self._policy(self._get_param("Id"))

    def delete_response_headers_policy(self) -> ActionResult:
        del self.policies[self._get_param("Id")]
        return EmptyResult()

    def _policy(self, key: str) -> ActionResult:
        policy = {"Id": key, "LastModifiedTime": 0, "ResponseHeadersPolicyConfig": self.policies[key]}
        return ActionResult({"ResponseHeadersPolicy": policy, "ETag": key})


def _describe_subscribers(self: BudgetsResponse) -> str:
    budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
    asked = self._get_param("Notification")
    [subscribers] = [found.subscribers for found in budget.notifications if found.details.items() <= asked.items()]
    return json.dumps({"Subscribers": subscribers})


_budget_tags: list[dict[str, str]] = []
_create_budget = BudgetsResponse.create_budget


def _create_budget_with_tags(self: BudgetsResponse) -> str:
    _budget_tags[:] = self._get_param("ResourceTags", [])
    return _create_budget(self)


def _list_budget_tags(self: BudgetsResponse) -> str:
    return json.dumps({"ResourceTags": _budget_tags})


_call = BaseResponse.call_action


def _print_call(self: BaseResponse) -> Any:
    # With its end in the same string: threads of the server would write into each other's lines.
    print(f"called {self.access_key} {self.service_name}:{self._get_action()}\n", end="", flush=True)
    return _call(self)


def _refuse_nobody(_self: FakeBucket, _action: str, _resource: str) -> PermissionResult:
    return PermissionResult.NEUTRAL


_update_table = DynamoHandler.update_table
_describe = Table.describe


def _update_table_and_replicas(self: DynamoHandler) -> ActionResult:
    name = self.body["TableName"]
    table = self.dynamodb_backend.get_table(name)
    replicas = vars(table).setdefault("replicas", {})
    for update in self.body.get("ReplicaUpdates", []):
        [(action, replica)] = update.items()
        region = replica["RegionName"]
        backend = dynamodb_backends[self.current_account][region]
        if action == "Create":
            replicas[region] = {**replica, "ReplicaStatus": "ACTIVE"}
            backend.tables[name] = copied = copy.copy(table)
            copied.table_arn = table.table_arn.replace(self.region, region)
            copied.sse_specification = {"Enabled": True, "KMSMasterKeyId": replica["KMSMasterKeyId"]}
        elif action == "Delete":
            del replicas[region], backend.tables[name]
    return _update_table(self)


def _describe_with_replicas(self: Table, base_key: str = "TableDescription") -> dict[str, Any]:
    described = _describe(self, base_key)
    described[base_key]["Replicas"] = list(vars(self).get("replicas", {}).values())
    return described


_one_call = threading.Lock()
_answers: dict[str, Response] = {}
_application = DomainDispatcherApplication.__call__


def _answer_once(self: DomainDispatcherApplication, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    # The attempts of one call have this in common, whether Go or Python makes them.
    call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
    with _one_call:
        answer = _answers.get(call or "")
        if answer is None:
            answer = Response.from_app(lambda *request: _application(self, *request), environ, buffered=True)
            if call and answer.status_code < 500:
                _answers[call] = answer
    return answer(environ, start_response)


@contextlib.contextmanager
def running(log: Path) -> Iterator[str]:
    """Such a server in a process of its own, for as long as the context lasts.

    Args:
        log: file for what it prints.

    Yields:
        Its URL.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # moto lets a minute pass before a certificate is valid.
    environment = {**os.environ, "MOTO_ACM_VALIDATION_WAIT": "1"}
    command = [sys.executable, "-m", "tests.terraform.moto_server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 90
        while True:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    """The command line of moto_server."""
    for path in ("", "/(?P<Id>[^/]+)", "/(?P<Id>[^/]+)/config"):
        urls.url_paths[f"{{0}}/2020-05-31/response-headers-policy{path}$"] = HeaderPolicies.dispatch
    for replaced, name, function in (
        (BaseResponse, "call_action", _print_call),
        (BudgetsResponse, "describe_subscribers_for_notification", _describe_subscribers),
        (BudgetsResponse, "create_budget", _create_budget_with_tags),
        (BudgetsResponse, "list_tags_for_resource", _list_budget_tags),
        (CloudWatchResponse, "put_composite_alarm", CloudWatchResponse.put_metric_alarm),
        (DomainDispatcherApplication, "__call__", _answer_once),
        (DynamoHandler, "update_table", _update_table_and_replicas),
        (Table, "describe", _describe_with_replicas),
        (FakeBucket, "get_permission", _refuse_nobody),
    ):
        setattr(replaced, name, function)
    server.main()


if __name__ == "__main__":
    main()
