"""Compose's DNS, for a Docker engine without a network of its own: names, with loopback addresses.

Usage: python dns.py 127.0.0.11 predict=127.0.0.2,127.0.0.3 redis=127.0.0.1
"""

import socket
import struct
import sys

A, IN, NO_SUCH_NAME = 1, 1, 3


def main() -> None:
    address, *entries = sys.argv[1:]
    names = {name: addresses.split(",") for name, _, addresses in (entry.partition("=") for entry in entries)}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    while True:
        query, client = server.recvfrom(512)
        # One question: labels with their lengths, a zero, type and class.
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode().lower())
            at += length + 1
        question = query[12 : at + 5]
        (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
        found = names.get(".".join(labels))
        answers = [socket.inet_aton(each) for each in found or ()] if kind == A else []
        flags = 0x8580 | (0 if found else NO_SUCH_NAME)
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0)
        records = b"".join(struct.pack("!HHHIH", 0xC00C, A, IN, 2, 4) + each for each in answers)
        server.sendto(head + question + records, client)


if __name__ == "__main__":
    main()
