#!/usr/bin/env python3
"""Captures what this kernel says, as inputs of the fuzz targets that read netlink.

    unshare -n test/fuzz/capture.py CORPUS RULESET...

In a network namespace of its own, as root: loads the RULESETs (files of nft, or of iptables-restore when they end in
.save), sends some packets over lo, and writes files to CORPUS/TARGET. Names are digests, so that what is there already
is not written twice. The layout of an input is told by each target's check().
"""
import hashlib
import os
import pathlib
import socket
import struct
import subprocess
import sys

NETFILTER = 12
NEWRULE, GETRULE, GETTABLE, GETCHAIN, GETSET, GETSETELEM = 6, 7, 1, 4, 10, 13
CONNTRACK, TABLES = 1, 10
DUMP = 0x301
LARGEST = 8000


def attributes(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4 or length > len(data):
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def of(data, wanted):
    return next((payload for kind, payload in attributes(data) if kind == wanted), b"")


def text(kind, value):
    value = value + b"\0" * (not value.endswith(b"\0"))
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def ask(kind, family=0, more=b"", subsystem=TABLES):
    """The datagrams of a dump."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as talk:
        talk.bind((0, 0))
        body = struct.pack("=BBH", family, 0, 0) + more
        talk.send(struct.pack("=IHHII", 16 + len(body), subsystem << 8 | kind, DUMP, 1, 0) + body)
        datagrams = []
        while True:
            datagram = talk.recv(1 << 16)
            datagrams.append(datagram)
            if any(kind in (2, 3) for kind, _ in messages(datagram)):
                return datagrams


def messages(datagram):
    while len(datagram) >= 16:
        length, kind = struct.unpack_from("=IH", datagram)
        yield kind, datagram[16:length]
        datagram = datagram[(length + 3) & ~3 :]


def payloads(datagrams):
    return [payload for datagram in datagrams for kind, payload in messages(datagram) if kind > 15]


def asked(datagram):
    """With the number that stands for the question's."""
    out = bytearray(datagram)
    at = 0
    while at + 16 <= len(out):
        struct.pack_into("=II", out, at + 8, 0xFFFFFFFF, 7)
        at += (struct.unpack_from("=I", out, at)[0] + 3) & ~3
    return bytes(out)


def piece(data):
    return struct.pack(">H", len(data)) + data


def keep(corpus, target, data):
    if not 0 < len(data) <= LARGEST:
        return
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ("kernel-" + hashlib.sha256(data).hexdigest()[:12])).write_bytes(data)


def listen(group):
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
    events.bind((0, 0))
    events.setsockopt(270, 1, group)
    events.settimeout(0.5)
    return events


def heard(events):
    datagrams = []
    while len(datagrams) < 60:
        try:
            datagrams.append(events.recv(1 << 16))
        except TimeoutError:
            break
        except OSError:  # some were lost
            continue
    return datagrams


def traffic():
    for family, here in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"hello", (here, 5353))
        with socket.socket(family, socket.SOCK_STREAM) as server, socket.socket(family, socket.SOCK_STREAM) as client:
            server.bind((here, 8080))
            server.listen()
            client.connect((here, 8080))


def main():
    corpus = pathlib.Path(sys.argv[1])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with listen(7) as events:
        for ruleset in sys.argv[2:]:
            tool = ["iptables-restore", "-n"] if ruleset.endswith(".save") else ["nft", "-f"]
            subprocess.run([*tool, ruleset], check=False)
        changes = heard(events)
    keep(corpus, "netlink_dumps", b"\3" + b"".join(piece(one) for one in changes if len(one) < 3000)[:LARGEST])

    seen = set()
    for payload in payloads(ask(GETRULE)):
        family, expressions = payload[0], of(payload[4:], 4)
        names = tuple(of(one, 1) for kind, one in attributes(expressions) if kind == 1)
        if (family, names) in seen or family not in (1, 2, 10):
            continue
        seen.add((family, names))
        keep(corpus, "netlink_rules", bytes([(family == 10) | 2 * (b"nat" in of(payload[4:], 1))]) + expressions)

    whole = [asked(d) for kind in (GETTABLE, GETCHAIN, GETSET) for d in ask(kind)]
    for index, payload in enumerate(payloads(ask(GETSET))):
        described = payload[4:]
        elements = ask(GETSETELEM, payload[0], text(1, of(described, 1)) + text(2, of(described, 2)))
        whole += [asked(d) for d in elements]
        lists = [one[4:] for one in payloads(elements)]
        keep(corpus, "netlink_sets", b"\0" + piece(described) + b"".join(piece(one) for one in lists))
        for one in lists[:1]:
            keep(corpus, "netlink_sets", bytes([1, index % 28]) + one)
    rules = [asked(d) for d in ask(GETRULE)]
    whole += rules
    keep(corpus, "netlink_dumps", b"\0" + b"".join(map(piece, whole)))
    chains = [asked(d) for d in ask(GETCHAIN, socket.AF_INET)]
    keep(corpus, "netlink_dumps", b"\1" + b"".join(map(piece, chains + [asked(d) for d in ask(GETRULE, socket.AF_INET)])))

    with listen(9) as events:
        traced = "table inet t { chain o { type filter hook output priority -400; meta nftrace set 1; ct state new; }; }"
        subprocess.run(["nft", traced], check=True)
        traffic()
        steps = [payload for datagram in heard(events) for _, payload in messages(datagram)]
    keep(corpus, "trace_events", b"".join(map(piece, steps))[:LARGEST])

    for family in (socket.AF_INET, socket.AF_INET6):
        for payload in payloads(ask(1, family, subsystem=CONNTRACK))[:4]:
            protocol = of(of(of(payload[4:], 1), 2), 1)[:1]
            keep(corpus, "conntrack_entries", bytes([(family == socket.AF_INET6) | 2 * (protocol == b"\6")]) + payload)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("capture: needs root, in a network namespace of its own")
    main()
