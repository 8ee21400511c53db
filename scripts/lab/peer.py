#!/usr/bin/env python3
"""Both ends of the lab's traffic: a pod's servers and the clients that ask them.

peer.py serve NAME [--http PORT]... [--udp PORT]...   answers each request with its name and who asked
peer.py get ADDRESS PORT [--count N]                  one HTTP request per new connection, one answer a line
peer.py ask ADDRESS PORT [--source-port P] [--count N]   the same by UDP, all from one socket
peer.py load ADDRESS PORT [--host NAME] [--path PATH] [--patience S]   HTTP requests steadily until SIGTERM: how it went
peer.py relay FROM TO          copies connections, both ways; each end is a port of 127.0.0.1 or a Unix socket's path

On SIGTERM a server goes on until nobody has asked for half a second, as an application that ends gracefully.

A client that gets no answer prints "no answer: why" for that request and ends with status 1.
"""

import argparse
import contextlib
import http.client
import http.server
import signal
import socket
import socketserver
import sys
import threading
import time

TIMEOUT = 2.0  # seconds a client waits
WORKERS = 4  # of the load
PAUSE = 0.02  # seconds between two requests of a worker
QUIET = 0.5  # seconds without a request after which a server may end


def plain(address):
    """An IPv4 peer of a dual-stack socket shows up as ::ffff:a.b.c.d."""
    return address.removeprefix("::ffff:")


def listening_family():
    """One dual-stack socket where the kernel has IPv6, else IPv4."""
    with contextlib.suppress(OSError):
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
        return socket.AF_INET6, "::"
    return socket.AF_INET, "0.0.0.0"


def serve(arguments):
    name = arguments.name
    family, any_address = listening_family()
    last_request = time.monotonic()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            nonlocal last_request
            last_request = time.monotonic()
            body = f"{name}, asked by {plain(self.client_address[0])}"
            forwarded = self.headers.get("X-Forwarded-For")
            body = f"{body} for {plain(forwarded)}\n".encode() if forwarded else f"{body}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class HttpServer(http.server.ThreadingHTTPServer):
        address_family = family
        request_queue_size = 128
        daemon_threads = True

        def server_bind(self):
            # Not HTTPServer's: that one looks the host's name up in DNS.
            socketserver.TCPServer.server_bind(self)
            self.server_name, self.server_port = name, self.server_address[1]

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self):
            answer = f"{name}, asked by {plain(self.client_address[0])}\n".encode()
            self.request[1].sendto(answer, self.client_address)

    class UdpServer(socketserver.UDPServer):
        address_family = family

    servers = [HttpServer((any_address, port), Page) for port in arguments.http]
    servers += [UdpServer((any_address, port), Datagram) for port in arguments.udp]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    begin = time.monotonic()
    while time.monotonic() - max(begin, last_request) < QUIET:
        time.sleep(QUIET / 10)
    return 0


def load(arguments):
    lock, failures, requests = threading.Lock(), [], 0
    ended, last_answer, broken = threading.Event(), time.monotonic(), False

    def one_request():
        connection = http.client.HTTPConnection(arguments.address, arguments.port, timeout=arguments.patience)
        with contextlib.closing(connection):
            connection.request("GET", arguments.path, headers={"Host": arguments.host, "Connection": "close"})
            answer = connection.getresponse()
            answer.read()
            return None if answer.status == 200 else f"status {answer.status}"

    def work():
        nonlocal last_answer, broken, requests
        while not ended.wait(PAUSE):
            try:
                why = one_request()
            except (OSError, http.client.HTTPException) as error:
                why = f"{type(error).__name__}: {error}"
            with lock:
                requests += 1
                if why:
                    failures.append(why)
                    broken = True
                    continue
                now = time.monotonic()
                if broken:
                    print(f"answered again after {(now - last_answer) * 1000:.0f} ms", flush=True)
                broken, last_answer = False, now

    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ended.set()
    for worker in workers:
        worker.join()
    print(f"{requests} requests, {len(failures)} failed", flush=True)
    for why in sorted(set(failures)):
        print(f"{failures.count(why)} x {why}", flush=True)
    return 1 if failures else 0


def relay(arguments):
    def endpoint(text):
        if text.startswith("/"):
            return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), text
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM), ("127.0.0.1", port_number(text))

    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def pass_on(near):
        far, address = endpoint(arguments.to)
        with near, far:
            try:
                far.connect(address)
            except OSError:
                return
            back = threading.Thread(target=copy, args=(far, near), daemon=True)
            back.start()
            copy(near, far)
            back.join()

    listener, address = endpoint(arguments.source)
    if isinstance(address, tuple):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    while True:
        threading.Thread(target=pass_on, args=(listener.accept()[0],), daemon=True).start()


def report(request, count):
    """Runs `request` `count` times and prints what it returns."""
    status = 0
    for _ in range(count):
        try:
            print(request().strip(), flush=True)
        except (OSError, http.client.HTTPException) as error:
            print(f"no answer: {error}", flush=True)
            status = 1
    return status


def get(arguments):
    def request():
        connection = http.client.HTTPConnection(arguments.address, arguments.port, timeout=TIMEOUT)
        with contextlib.closing(connection):
            connection.request("GET", "/", headers={"Connection": "close"})
            return connection.getresponse().read(4096).decode(errors="replace")

    return report(request, arguments.count)


def ask(arguments):
    family = socket.AF_INET6 if ":" in arguments.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT)
        if arguments.source_port:
            client.bind(("", arguments.source_port))
        client.connect((arguments.address, arguments.port))

        def request():
            client.send(b"who?\n")
            return client.recv(4096).decode(errors="replace")

        return report(request, arguments.count)


def port_number(text):
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not in 1..65535")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="serve|get|ask|load|relay")
    server = commands.add_parser("serve", help="answer requests until SIGTERM")
    server.add_argument("name")
    server.add_argument("--http", type=port_number, action="append", default=[])
    server.add_argument("--udp", type=port_number, action="append", default=[])
    server.set_defaults(run=serve)
    for command, run in (("get", get), ("ask", ask)):
        client = commands.add_parser(command, help=f"{'HTTP' if run is get else 'UDP'} client")
        client.add_argument("address")
        client.add_argument("port", type=port_number)
        client.add_argument("--count", type=int, default=1)
        if run is ask:
            client.add_argument("--source-port", type=port_number)
        client.set_defaults(run=run)
    worker = commands.add_parser("load", help="steady HTTP requests until SIGTERM")
    worker.add_argument("address")
    worker.add_argument("port", type=port_number)
    worker.add_argument("--host", default="localhost")
    worker.add_argument("--path", default="/")
    worker.add_argument("--patience", type=float, default=20.0, help="seconds after which no answer is a failure")
    worker.set_defaults(run=load)
    copier = commands.add_parser("relay", help="copies connections, as a port-forward does")
    copier.add_argument("source")
    copier.add_argument("to")
    copier.set_defaults(run=relay)
    arguments = parser.parse_args()
    # Blocked before any thread starts, so that only sigwait() sees them.
    if arguments.run in (serve, load):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
