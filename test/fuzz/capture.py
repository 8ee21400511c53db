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

NETLINK_ROUTE, SOCK_DIAG, XFRM, FIB_LOOKUP, NETFILTER = 0, 4, 6, 10, 12
NEWRULE, GETRULE, GETTABLE, GETCHAIN, GETSET, GETSETELEM = 6, 7, 1, 4, 10, 13
CONNTRACK, TABLES = 1, 10
GETLINK, GETADDR, GETROUTE, GETNEIGH, GETRULE_OF_ROUTING, GETTFILTER = 18, 22, 26, 30, 34, 46
DUMP, ONE = 0x301, 0x5
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
    return ask_kernel(NETFILTER, subsystem << 8 | kind, DUMP, struct.pack("=BBH", family, 0, 0) + more)


def ask_kernel(protocol, kind, flags, body):
    """All datagrams of the answer to any question."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as talk:
        talk.bind((0, 0))
        talk.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
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


def number(kind, value):
    return struct.pack("=HHI", 8, kind, value)


def address(kind, family, text_of_it):
    packed = socket.inet_pton(family, text_of_it)
    return struct.pack("=HH", 4 + len(packed), kind) + packed


def of_route(family, destination=None, local=False, more=b""):
    bits = {socket.AF_INET: 32, socket.AF_INET6: 128}[family]
    fixed = struct.pack("=BBBBBBBBI", family, bits if destination else 0, 0, 0, 0, 0, 0, 2 if local else 0, 0)
    return fixed + (address(1, family, destination) if destination else b"") + more


def node_questions(corpus):
    """What netlink/host asks: choice, more bits, and the answers in their order. See check() in netlink_host.cpp."""
    families = (socket.AF_INET, socket.AF_INET6)

    def route(kind, flags, body):
        return [asked(d) for d in ask_kernel(NETLINK_ROUTE, kind, flags, body)]

    def write(choice, more, datagrams):
        keep(corpus, "netlink_host", bytes([choice, more]) + b"".join(map(piece, datagrams)))

    def of_ipset(kind, body):
        head = struct.pack("=IHHII", 20 + len(body), 6 << 8 | kind, 0, 0xFFFFFFFF, 7)
        return head + bytes((2, 0, 0, 0)) + body

    links = route(GETLINK, DUMP, bytes(16) + number(29, 8))
    write(0, 0, links)
    write(1, 0, route(GETADDR, DUMP, bytes(8)))
    write(2, 0, [d for family in families for d in route(GETROUTE, DUMP, of_route(family, local=True))])
    write(6, 0, [d for family in families for d in route(GETROUTE, DUMP, of_route(family))])
    for more, family, there in ((0, socket.AF_INET, "192.0.2.7"), (1, socket.AF_INET6, "2001:db8::7")):
        one = route(GETROUTE, ONE, of_route(family, there))
        if more:
            write(3, more, one)
        write(4, more, one)
        rules = route(GETRULE_OF_ROUTING, DUMP, struct.pack("=B", family) + bytes(11))
        index = socket.if_nametoindex("left")
        neighbour = route(GETNEIGH, ONE, struct.pack("=BBHiHBB", family, 0, 0, index, 0, 0, 0) + address(1, family, there))
        write(5, more, rules + one + neighbour)
        write(5, more | 14, rules + route(GETROUTE, ONE, of_route(family, there, more=number(3, 1))) + neighbour)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, FIB_LOOKUP) as lookup:
        question = socket.inet_pton(socket.AF_INET, "192.0.2.1") + struct.pack("=I8Bi", 0, 0, 0, 255, 0, 0, 0, 0, 0, 0)
        lookup.send(struct.pack("=IHHII", 36, 0, 1, 0, 0) + question)
        write(3, 0, [lookup.recv(100)])
    write(7, 0, [asked(d) for d in ask_kernel(XFRM, 0x25, ONE, bytes(4))])
    for more, protocol in ((0, 6), (1, 17)):
        waiting = [struct.pack("=BBBBI", family, protocol, 0, 0, 1 << 10 | 1 << 7) + bytes(48) for family in families]
        write(8, more, [asked(d) for body in waiting for d in ask_kernel(SOCK_DIAG, 20, DUMP, body)])
    write(10, 0, [asked(d) for d in ask(4, subsystem=CONNTRACK)])
    filters = route(GETTFILTER, DUMP, struct.pack("=BBHiIII", 0, 0, 0, socket.if_nametoindex("left"), 0, 0xFFFFFFF2, 0))
    write(12, 0, links + filters)
    entries = [asked(d) for d in ask(1, socket.AF_INET, subsystem=CONNTRACK)]
    done = struct.pack("=IHHIIi", 36, 2, 0x100, 0xFFFFFFFF, 7, 0) + bytes(16)
    write(13, 0, entries + [done, done])
    # Sets of ipset, as the kernel describes one, and its words on an element; the tool may not be here.
    described = b"\x05\0\1\0\6\0\0\0" + text(2, b"set") + text(3, b"hash:ip,port") + b"\x05\0\5\0\2\0\0\0" + b"\x05\0\4\0\6\0\0\0"
    not_in = struct.pack("=IHHIIi", 36, 2, 0x100, 0xFFFFFFFF, 7, -4103) + bytes(16)
    write(9, 0, [of_ipset(12, described), done, not_in])
    named = b"\x05\0\1\0\7\0\0\0" + text(2, b"set")
    write(9, 7, [of_ipset(15, named), done, of_ipset(12, described), done, done])


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

    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as events:
        # Links, addresses, routes and rules.
        events.bind((0, 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x40000))
        events.settimeout(0.5)
        for command in (
            "link add left type veth peer name right",
            "link add name bridge0 type bridge nf_call_iptables 1",
            "link set right master bridge0",
            "link set left up",
            "link set right up",
            "address add 192.0.2.1/24 dev left",
            "address add 2001:db8::1/64 dev left nodad",
            "route add 198.51.100.0/24 via 192.0.2.7",
            "route add local 203.0.113.0/24 dev lo",
            "route add local 192.0.2.128/25 dev lo table 100",
            "rule add fwmark 0x1/0xf lookup 100",
            "neigh add 192.0.2.7 lladdr 02:00:00:00:00:07 dev left",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        told = b"".join(map(piece, heard(events)))
    keep(corpus, "netlink_host", bytes((11, 0)) + told[: LARGEST - 2])
    node_questions(corpus)

    for family in (socket.AF_INET, socket.AF_INET6):
        for payload in payloads(ask(1, family, subsystem=CONNTRACK))[:4]:
            protocol = of(of(of(payload[4:], 1), 2), 1)[:1]
            keep(corpus, "conntrack_entries", bytes([(family == socket.AF_INET6) | 2 * (protocol == b"\6")]) + payload)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("capture: needs root, in a network namespace of its own")
    main()
