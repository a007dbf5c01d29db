"""As whom a caller without a key is counted."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

_NETWORK_BITS = 64


@lru_cache(1000)
def subject_of_address(address: str) -> str:
    """The subject for an IP address; for IPv6 its /64, which is the least that one customer of a provider gets.

    Raises:
        ValueError: it is no IP address.
    """
    ip = ip_address(address)
    if not isinstance(ip, IPv6Address):
        return f"address:{ip}"
    if ip.ipv4_mapped:
        return f"address:{ip.ipv4_mapped}"
    host_bits = 128 - _NETWORK_BITS
    return f"address:{IPv6Address(int(ip) >> host_bits << host_bits)}/{_NETWORK_BITS}"
