#!/usr/bin/env python3
"""Leads a port of this machine's localhost to one of a namespace's, so that a browser here reaches a page in there.

    relay.py NAMESPACE PORT FILE     writes the port it listens at to FILE; until it is ended
"""

import ctypes
import os
import socket
import sys
import threading

CLONE_NEWNET = 0x40000000  # linux/sched.h
MOST = 64  # connections at a time


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, port, slots):
    with client, slots:
        try:
            server = socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            return
        with server:
            server.settimeout(None)
            back = threading.Thread(target=copy, args=(server, client), daemon=True)
            back.start()
            copy(client, server)
            back.join()


def main():
    namespace, port, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    # A socket stays in the namespace in which it was made.
    listener = socket.create_server(("127.0.0.1", 0))
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}", "rb") as target:
        if libc.setns(target.fileno(), CLONE_NEWNET) != 0:
            sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")
    half = file + ".half"
    with open(half, "w", encoding="ascii") as out:
        out.write(str(listener.getsockname()[1]))
    os.replace(half, file)
    slots = threading.Semaphore(MOST)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, port, slots), daemon=True).start()


main()
