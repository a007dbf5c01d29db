"""One way to ask all three faces of the service, and what Lambda sees of a request."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs, parse_qsl, quote

import httpx

from tests.functions.processes import Process, assert_tells_nothing

EventKind = Literal["rest", "http", "url", "alb", "alb-multi"]
EVENT_KINDS: tuple[EventKind, ...] = ("rest", "http", "url", "alb", "alb-multi")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Face(Protocol):
    """Somewhere to send requests to."""

    process: Process

    def ask(
        self, method: str, path: str, *, content: bytes = b"", headers: Mapping[str, str] = {}, query: str = ""
    ) -> Answer:
        """Send one request."""
        ...


class Http:
    """A face that speaks HTTP."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._client = httpx.Client(base_url=process.url, timeout=30, trust_env=False)

    def ask(
        self, method: str, path: str, *, content: bytes = b"", headers: Mapping[str, str] = {}, query: str = ""
    ) -> Answer:
        target = f"{path}?{query}" if query else path
        answer = self._client.request(method, target, content=content, headers=dict(headers))
        if answer.status_code >= 400:
            assert_tells_nothing(answer.text)
        return Answer(answer.status_code, answer.headers, answer.content)


class Lambda:
    """Lambda behind a gateway of some kind."""

    def __init__(self, process: Process, kind: EventKind = "http") -> None:
        self.process = process
        self._kind = kind

    def ask(
        self, method: str, path: str, *, content: bytes = b"", headers: Mapping[str, str] = {}, query: str = ""
    ) -> Answer:
        return self.invoke(event(self._kind, method, path, content, headers, query))

    def invoke(self, sent: dict[str, Any]) -> Answer:
        """Hand over an event as it is."""
        url = f"{self.process.url}/2015-03-31/functions/function/invocations"
        invoked = httpx.post(url, json=sent, timeout=60, trust_env=False)
        result = invoked.json()
        assert "statusCode" in result, result
        headers = [(name, value) for name, value in result.get("headers", {}).items()]
        headers += [(name, value) for name, values in result.get("multiValueHeaders", {}).items() for value in values]
        body = base64.b64decode(result["body"]) if result["isBase64Encoded"] else result["body"].encode()
        return Answer(result["statusCode"], httpx.Headers(headers), body)


def event(
    kind: EventKind,
    method: str,
    path: str,
    content: bytes = b"",
    headers: Mapping[str, str] = {},
    query: str = "",
    *,
    as_text: bool = False,
) -> dict[str, Any]:
    """What a gateway makes of a request.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html

    Args:
        as_text: the body as a string (isBase64Encoded false) and not in base64.
    """
    body = content.decode() if as_text else base64.b64encode(content).decode()
    sent = {"host": "leaves.example.com", "x-forwarded-proto": "https", "x-forwarded-port": "443", **headers}
    common: dict[str, Any] = {"body": body if content else None, "isBase64Encoded": bool(content) and not as_text}
    if kind in ("http", "url"):
        domain = "abc.lambda-url.eu-west-1.on.aws" if kind == "url" else "abc.execute-api.eu-west-1.amazonaws.com"
        http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"}
        context = {"accountId": "123456789012", "apiId": "abc", "domainName": domain, "http": http, "stage": "$default"}
        return {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": sent,
            "requestContext": context,
            **common,
        }
    if kind == "rest":
        return {
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": method,
            "headers": sent,
            "multiValueHeaders": {name: [value] for name, value in sent.items()},
            "queryStringParameters": dict(parse_qsl(query)) or None,
            "multiValueQueryStringParameters": parse_qs(query) or None,
            "pathParameters": {"proxy": path[1:]},
            "requestContext": {
                "resourcePath": "/{proxy+}",
                "httpMethod": method,
                "path": f"/prod{path}",
                "stage": "prod",
                "identity": {"sourceIp": "192.0.2.1"},
            },
            **common,
        }
    # A load balancer leaves the query encoded, and sends each header once or, if told to, all their values.
    encoded = {quote(name): [quote(value) for value in values] for name, values in parse_qs(query).items()}
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/leaves/1"
    result = {"requestContext": {"elb": {"targetGroupArn": arn}}, "httpMethod": method, "path": path, **common}
    if kind == "alb-multi":
        result["multiValueHeaders"] = {name: [value] for name, value in sent.items()}
        result["multiValueQueryStringParameters"] = encoded
    else:
        result["headers"] = sent
        result["queryStringParameters"] = {name: values[-1] for name, values in encoded.items()}
    return {**result, "body": result["body"] or ""}
