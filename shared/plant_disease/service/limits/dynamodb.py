"""Counts in DynamoDB: an item for each subject, with the use and the end of each of its windows.

Region and credentials come from where boto3 looks for them; AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL points to
another server.
"""

import contextlib
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from limits.errors import ConcurrentUpdateError
from limits.storage import Storage

from plant_disease.service.limits.windows import Charge, Count, RemoteWindows, Window, fits

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY = "subject"
_EXPIRES = "expires"
_KEPT_S = 32 * 86_400
"""Seconds for which an item is kept after a window of it has opened; none is longer than a month."""

_TRIES = 10
"""Two are enough for one process. Each further one means that another process was faster."""


class DynamoDBWindows(Storage, RemoteWindows):
    """A storage for `limits` in a table of DynamoDB.

    A charge is one conditional update. It is refused when a window is over; then DynamoDB gives the item along, and a
    second update opens the window. A charge that does not fit costs one update too, and changes nothing.
    """

    STORAGE_SCHEME = ["dynamodb"]  # noqa: RUF012 - as the library declares it

    def __init__(self, uri: str, *, timeout_s: float = 0.5, wrap_exceptions: bool = False) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._table = uri.removeprefix("dynamodb://")
        session = boto3.session.Session()
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        # Asks whoever gives them; later that would be a part of the first charge, which has little time.
        credentials.get_frozen_credentials()
        self._client: DynamoDBClient = session.client(
            "dynamodb",
            config=Config(
                connect_timeout=timeout_s,
                read_timeout=timeout_s,
                # A charge whose answer was lost may have been made.
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        )

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """What the SDK raises."""
        return BotoCoreError, ClientError

    def charge(self, subject: str, windows: Sequence[Window], photos: int, now: float) -> Charge:
        """See `JointWindows.charge`."""
        if not photos:
            return Charge(True, _counts(self._item(subject), windows, now))
        over: list[Window] = []
        for _ in range(_TRIES):
            try:
                answer = self._client.update_item(
                    TableName=self._table,
                    Key={_KEY: {"S": subject}},
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **_update(windows, over, photos, now),
                )
            except self._client.exceptions.ConditionalCheckFailedException as error:
                item = cast("Mapping[str, Any]", error.response.get("Item", {}))
            else:
                return Charge(True, _counts(answer["Attributes"], windows, now))
            counts = _counts(item, windows, now)
            if not fits(windows, counts, photos):
                return Charge(False, counts)
            over = [window for window in windows if not _is_open(item, window, now)]
        raise ConcurrentUpdateError(subject, _TRIES)

    def disconnect(self) -> None:
        """See `RemoteWindows.disconnect`."""
        self._client.close()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """See `Storage.incr`."""
        return self.charge(key, [_only(expiry)], amount, time.time()).counts[0].used

    def get(self, key: str) -> int:
        """See `Storage.get`."""
        return self.charge(key, [_only()], 0, time.time()).counts[0].used

    def get_expiry(self, key: str) -> float:
        """See `Storage.get_expiry`."""
        return self.charge(key, [_only()], 0, time.time()).counts[0].ends

    def clear(self, key: str) -> None:
        """See `Storage.clear`."""
        self._client.delete_item(TableName=self._table, Key={_KEY: {"S": key}})

    def check(self) -> bool:
        """See `Storage.check`."""
        with contextlib.suppress(*self.base_exceptions):
            self._item("check")
            return True
        return False

    def reset(self) -> int | None:
        """Not to be had: it would read the whole table.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError

    def _item(self, subject: str) -> Mapping[str, Any]:
        answer = self._client.get_item(TableName=self._table, Key={_KEY: {"S": subject}}, ConsistentRead=True)
        return answer.get("Item", {})


def _only(seconds: float = 0) -> Window:
    """The one window of a key of the library."""
    return Window("only", sys.maxsize, seconds)


def _used(window: Window) -> str:
    return f"{window.name} used"


def _ends(window: Window) -> str:
    return f"{window.name} ends"


def _is_open(item: Mapping[str, Any], window: Window, now: float) -> bool:
    return _ends(window) in item and float(item[_ends(window)]["N"]) > now


def _counts(item: Mapping[str, Any], windows: Sequence[Window], now: float) -> list[Count]:
    return [
        Count(int(item[_used(window)]["N"]), float(item[_ends(window)]["N"]))
        if _is_open(item, window, now)
        else Count(0, now + window.seconds)
        for window in windows
    ]


def _update(windows: Sequence[Window], over: Collection[Window], photos: int, now: float) -> Any:
    """What to ask of DynamoDB: add to the windows, and open those that are over; all of it, or nothing."""
    names: dict[str, str] = {}
    values: dict[str, float] = {":photos": photos, ":now": now}
    conditions, adds, sets = [], [], []
    for index, window in enumerate(windows):
        used, ends = f"#used{index}", f"#ends{index}"
        names |= {used: _used(window), ends: _ends(window)}
        if window in over:
            conditions.append(f"(attribute_not_exists({ends}) OR {ends} <= :now)")
            sets += [f"{used} = :photos", f"{ends} = :ends{index}"]
            values[f":ends{index}"] = now + window.seconds
        else:
            # No BETWEEN: it demands that the bounds are in order, and a charge may be larger than the window.
            conditions.append(f"{ends} > :now AND {used} >= :least AND {used} <= :most{index}")
            adds.append(f"{used} :photos")
            values[":least"] = max(0, -photos)
            values[f":most{index}"] = window.most - photos
    if over:
        names["#expires"] = _EXPIRES
        values[":expires"] = int(now + _KEPT_S)
        sets.append("#expires = :expires")
    clauses = [f"SET {', '.join(sets)}"] * bool(sets) + [f"ADD {', '.join(adds)}"] * bool(adds)
    return {
        "UpdateExpression": " ".join(clauses),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {name: {"N": repr(value)} for name, value in values.items()},
    }
