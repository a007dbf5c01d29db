"""Counts in Redis: a key for each window, which expires with it."""

from collections.abc import Sequence

from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.retry import Retry

from plant_disease.service.limits.windows import Charge, Count, RemoteWindows, Window

# KEYS: a counter for each window. ARGV: photos; then for each window its most, and its length in ms if it opens now.
# Gives: whether they fit; then for each window what is used, and ms until its end.
_CHARGE = """
local photos = tonumber(ARGV[1])
local answer = {1}
for i, key in ipairs(KEYS) do
    local used = tonumber(redis.call('GET', key) or 0)
    if used + photos < 0 or used + photos > tonumber(ARGV[2 * i]) then
        answer[1] = 0
    end
    answer[2 * i] = used
    answer[2 * i + 1] = redis.call('PTTL', key)
end
for i, key in ipairs(KEYS) do
    local is_open = answer[2 * i + 1] >= 0
    if not is_open then
        answer[2 * i + 1] = tonumber(ARGV[2 * i + 1])
    end
    if answer[1] == 1 and photos ~= 0 then
        answer[2 * i] = redis.call('INCRBY', key, photos)
        if not is_open then
            redis.call('PEXPIRE', key, answer[2 * i + 1])
        end
    end
end
return answer
"""


class RedisWindows(RedisStorage, RemoteWindows):
    """The Redis storage of `limits`, with joint windows. Redis measures the time, so no clock has to agree."""

    def __init__(self, uri: str, *, timeout_s: float) -> None:
        super().__init__(
            uri,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s,
            # A charge whose answer was lost may have been made.
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # handed on to redis-py as it is
        )
        self._charge = self.storage.register_script(_CHARGE)

    def charge(self, subject: str, windows: Sequence[Window], photos: int, now: float) -> Charge:
        """See `JointWindows.charge`."""
        # The braces have a cluster keep all windows of a subject together.
        keys = [self.prefixed_key(f"{{{subject}}}/{window.name}") for window in windows]
        terms = [term for window in windows for term in (window.most, max(1, round(window.seconds * 1000)))]
        fits, *numbers = self._charge(keys, [photos, *terms])
        counts = [Count(used, now + ms / 1000) for used, ms in zip(numbers[::2], numbers[1::2], strict=True)]
        return Charge(bool(fits), counts)

    def disconnect(self) -> None:
        """See `RemoteWindows.disconnect`."""
        self.storage.connection_pool.disconnect(inuse_connections=False)
