"""Whether a delivery really comes from Pub/Sub: it carries a token that Google has signed for a service account.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

import threading
import time
from typing import Any

from plant_disease.service.telemetry import logger

_CERTIFICATES_S = 600.0
"""Seconds for which Google's certificates are kept."""

_TIMEOUT_S = 5.0
"""Seconds to get them. Every delivery waits meanwhile; google-auth would give it two minutes."""


class PushTokens:
    """Checks tokens. Takes the time of a request to Google now and then; not for event loops.

    Args:
        audience: for whom they are.
        account: the e-mail address of the service account that they are for.
    """

    def __init__(self, audience: str, account: str) -> None:
        self._audience = audience
        self._account = account
        self._ask = _Remembered()

    def are_valid(self, authorization: str) -> bool:
        """Whether the Authorization header holds such a token.

        Raises:
            GoogleAuthError: the certificates cannot be had.
        """
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.oauth2 import id_token

        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            return False
        try:
            claims = id_token.verify_oauth2_token(token, self._ask, self._audience)  # type: ignore[no-untyped-call]
        except TransportError:
            raise
        except (ValueError, GoogleAuthError) as error:
            logger.warning("a delivery without a valid token is refused (%s)", type(error).__name__)
            return False
        return claims.get("email") == self._account and claims.get("email_verified") is True


class _Remembered:
    """Asks as google-auth wants it, and remembers the answer: it would ask for the certificates each time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[float, Any]] = {}

    def __call__(self, url: str, method: str = "GET", **options: Any) -> Any:
        import requests
        from google.auth.transport.requests import Request

        with self._lock:
            asked_at, answer = self._answers.get(url, (0.0, None))
            if answer is None or time.time() - asked_at > _CERTIFICATES_S:
                answer = Request(requests.Session())(url, method=method, **{"timeout": _TIMEOUT_S, **options})
                if answer.status == 200:
                    self._answers[url] = (time.time(), answer)
            return answer
