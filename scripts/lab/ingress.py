#!/usr/bin/env python3
"""The lab's Ingress controller: nginx, with a configuration written from the Ingress objects of a folder.

ingress.py FOLDER STATE    runs nginx (files in STATE), follows FOLDER, prints "ready" when nginx listens; until SIGTERM

Understood: class (by name, annotation or default), host (also *.name), paths Exact and Prefix, default backend, TLS
from Secrets of the folder. A backend is dialled at its Service's ClusterIP, so that its way leads through the node's
chains. A backend without such a Service answers 503, a request that no rule fits 404.
"""

import base64
import pathlib
import re
import signal
import subprocess
import sys
import time

import yaml

CONTROLLER = "k8s.io/ingress-nginx"
POLL = 0.05  # seconds between two looks at the folder
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What goes into nginx's configuration as it is.
HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
PATH = re.compile(r"/[-A-Za-z0-9._~%/]*")

PREAMBLE = """\
daemon off;
pid {state}/nginx.pid;
error_log {state}/error.log warn;
worker_processes 1;
worker_shutdown_timeout 10s;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {state}/body;
  proxy_temp_path {state}/proxy;
  fastcgi_temp_path {state}/fastcgi;
  uwsgi_temp_path {state}/uwsgi;
  scgi_temp_path {state}/scgi;
  proxy_connect_timeout 10s;
  proxy_max_temp_file_size 0;
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr;
  server_names_hash_bucket_size 128;
"""


def snapshot(folder):
    """What tells whether something in the folder changed."""
    seen = []
    for path in sorted(folder.rglob("*.yaml")):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        seen.append((str(path), stat.st_mtime_ns, stat.st_ino, stat.st_size))
    return seen


class Objects:
    """The folder's objects by kind, namespace and name. A file that cannot be read is left out, with a line."""

    def __init__(self, files):
        self.by_kind = {}
        for path, *_ in files:
            try:
                with open(path, encoding="utf-8") as file:
                    for document in yaml.load_all(file, Loader=LOADER):
                        self.add(document)
            except (OSError, ValueError, yaml.YAMLError) as error:
                print(f"{path}: {error}", flush=True)

    def add(self, document):
        if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
            return
        metadata = document["metadata"]
        key = (metadata.get("namespace", "default"), metadata.get("name"))
        self.by_kind.setdefault(document.get("kind"), {})[key] = document

    def all(self, kind):
        return [self.by_kind[kind][key] for key in sorted(self.by_kind.get(kind, {}), key=str)]

    def find(self, kind, namespace, name):
        return self.by_kind.get(kind, {}).get((namespace, name))


def is_served(objects, ingress):
    annotations = ingress["metadata"].get("annotations") or {}
    wanted = ingress["spec"].get("ingressClassName") or annotations.get("kubernetes.io/ingress.class")
    for one in objects.all("IngressClass"):
        notes = one["metadata"].get("annotations") or {}
        is_default = str(notes.get("ingressclass.kubernetes.io/is-default-class")).lower() == "true"
        if one["metadata"].get("name") == wanted or (not wanted and is_default):
            return one.get("spec", {}).get("controller") == CONTROLLER
    return False


def action(objects, namespace, backend):
    """What nginx does with a request for this backend."""
    named = (backend or {}).get("service") or {}
    service = objects.find("Service", namespace, named.get("name"))
    if not service:
        return "return 503 \"no such Service\\n\";"
    spec, wanted = service["spec"], named.get("port") or {}
    for port in spec.get("ports") or []:
        if port.get("port") == wanted.get("number") or (wanted.get("name") and port.get("name") == wanted["name"]):
            address = spec.get("clusterIP")
            if address in (None, "", "None"):
                break
            return f"proxy_pass http://{f'[{address}]' if ':' in address else address}:{int(port['port'])};"
    return "return 503 \"the Service has no such port\\n\";"


def locations(objects, rules, fallback):
    """nginx's locations for the paths of one host: Exact before Prefix, the longest Prefix first, whole elements."""
    exact, prefix = {}, {}
    for namespace, path in rules:
        text = path.get("path") or "/"
        if not PATH.fullmatch(text):
            print(f"path {text!r} is left out", flush=True)
            continue
        does = action(objects, namespace, path.get("backend"))
        if path.get("pathType") == "Exact":
            exact.setdefault(text, does)
        else:
            prefix.setdefault(text.rstrip("/") or "/", does)
    lines = []
    for text, does in prefix.items():
        if text == "/":
            lines.append(f"    location / {{ {does} }}")
            continue
        lines.append(f"    location {text}/ {{ {does} }}")
        exact.setdefault(text, does)
    if "/" not in prefix:
        lines.append(f"    location / {{ {fallback} }}")
    lines += [f"    location = {text} {{ {does} }}" for text, does in exact.items()]
    return lines


def certificate(objects, state, namespace, name):
    """Writes a Secret's certificate and key to one file; nothing if there is none."""
    secret = objects.find("Secret", namespace, name)
    try:
        data = secret["data"]
        text = base64.b64decode(data["tls.crt"]) + base64.b64decode(data["tls.key"])
    except (TypeError, KeyError, ValueError):
        return None
    file = state / f"{re.sub('[^-a-z0-9.]', '_', f'{namespace}.{name}')}.pem"
    file.touch(mode=0o600)
    file.write_bytes(text)
    return file


def configuration(objects, state):
    hosts, certificates, fallback = {}, {}, 'return 404 "no Ingress fits\\n";'
    for ingress in objects.all("Ingress"):
        namespace, spec = ingress["metadata"].get("namespace", "default"), ingress.get("spec") or {}
        if not is_served(objects, {**ingress, "spec": spec}):
            continue
        if spec.get("defaultBackend"):
            fallback = action(objects, namespace, spec["defaultBackend"])
        for rule in spec.get("rules") or []:
            host = rule.get("host") or ""
            if host and not HOST.fullmatch(host):
                print(f"host {host!r} is left out", flush=True)
                continue
            paths = (rule.get("http") or {}).get("paths") or []
            hosts.setdefault(host, []).extend((namespace, path) for path in paths)
        for tls in spec.get("tls") or []:
            file = certificate(objects, state, namespace, tls.get("secretName"))
            if file:
                certificates.update({host: file for host in tls.get("hosts") or []})
    hosts.setdefault("", [])
    ipv6 = pathlib.Path("/proc/net/if_inet6").exists()
    any_certificate = next(iter(certificates.values()), None)
    lines = [PREAMBLE.format(state=state)]
    for host in sorted(hosts):
        default = "" if host else " default_server"
        lines.append("  server {")
        for port, with_tls in (("80", False), ("443", True)):
            if with_tls and not (certificates.get(host) or (not host and any_certificate)):
                continue
            for address in (port, f"[::]:{port}") if ipv6 else (port,):
                lines.append(f"    listen {address}{' ssl' if with_tls else ''}{default};")
        if certificates.get(host) or (not host and any_certificate):
            file = certificates.get(host) or any_certificate
            lines += [f"    ssl_certificate {file};", f"    ssl_certificate_key {file};"]
        if host.startswith("*."):
            # nginx's own wildcards take several labels, an Ingress's only one.
            lines.append(f"    server_name ~^[^.]+{re.escape(host[1:])}$;")
        else:
            lines.append(f"    server_name {host or '_'};")
        lines += locations(objects, hosts[host], fallback)
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def main():
    folder, state = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    file, nginx, seen, written, is_ready = state / "nginx.conf", None, None, None, False
    try:
        while nginx is None or nginx.poll() is None:
            now = snapshot(folder)
            if now != seen:
                seen = now
                try:
                    text = configuration(Objects(now), state)
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    # An object of another shape than the API server would let in: the last configuration goes on.
                    print(f"configuration not written: {error!r}", flush=True)
                    text = written or PREAMBLE.format(state=state) + "}\n"
                if text != written:
                    file.write_text(text, encoding="utf-8")
                    written = text
                    if nginx:
                        nginx.send_signal(signal.SIGHUP)
            if nginx is None:
                command = ["nginx", "-p", str(state), "-c", str(file), "-e", str(state / "error.log")]
                nginx = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            if not is_ready and (state / "nginx.pid").exists():
                is_ready = True
                print("ready", flush=True)
            time.sleep(POLL)
        return f"nginx ended with {nginx.returncode}"
    finally:
        if nginx and nginx.poll() is None:
            nginx.send_signal(signal.SIGQUIT)  # gracefully: answers what it has accepted
            try:
                nginx.wait(10)
            except subprocess.TimeoutExpired:
                nginx.kill()


if __name__ == "__main__":
    sys.exit(main())
