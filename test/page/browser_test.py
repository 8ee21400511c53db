#!/usr/bin/env python3
"""The page in a real browser: each view, hostile names, 10 000 Services, an endpoint that goes, a rule that is healed.

    browser_test.py PROGRAM [--screenshots DIR] [TEST...]

Needs root, ip, iptables, and chromium with chromium-driver and python3-selenium; where one of them is missing it says
so and is skipped. Everything runs in a network namespace of its own.
"""

import http.client
import importlib.util
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PORT = 10249
AGENT = f"http://127.0.0.1:{PORT}"
POD = "10.244.1.11"
HOSTILE = "<img src=x onerror=alert(1)>"


def missing():
    if os.geteuid() != 0:
        return "root"
    for program in ("ip", "iptables", "unshare", "chromium", "chromedriver"):
        if shutil.which(program) is None:
            return program
    return None if python_with_selenium() else "python3-selenium"


def python_with_selenium():
    """Debian's package is for Debian's Python, which another one may hide."""
    if importlib.util.find_spec("selenium"):
        return sys.executable
    debian = "/usr/bin/python3"
    has = os.access(debian, os.X_OK) and subprocess.run([debian, "-c", "import selenium"], capture_output=True,
                                                        check=False).returncode == 0
    return debian if has else None


if lacking := missing():
    print(f"SKIPPED: {lacking} is not installed (Debian: chromium chromium-driver python3-selenium iproute2 iptables)")
    sys.exit(0)
if os.environ.get("KUBENATD_PAGE_NETNS") != "own":
    os.environ["KUBENATD_PAGE_NETNS"] = "own"
    os.execvp("unshare", ["unshare", "--net", python_with_selenium(), *sys.argv])

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
SCREENSHOTS = None
if "--screenshots" in sys.argv:
    at = sys.argv.index("--screenshots")
    SCREENSHOTS = pathlib.Path(sys.argv[at + 1]).resolve()
    del sys.argv[at:at + 2]


def run(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True)


def service(name, ip, node_port=None, port=80):
    ports = [{"name": "http", "port": port, "protocol": "TCP", "targetPort": 8080}]
    if node_port:
        ports[0]["nodePort"] = node_port
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "demo", "name": name},
            "spec": {"type": "NodePort" if node_port else "ClusterIP", "clusterIP": ip, "clusterIPs": [ip],
                     "selector": {"app": name}, "ports": ports}}


def slice_of(name, endpoints):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": "demo", "name": name + "-1", "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "nodeName": "node-1", "conditions": {"ready": ready, "serving": ready}}
                          for address, ready in endpoints]}


class Page(unittest.TestCase):
    mode = "iptables"
    counting = ()  # what switches the counting of connections on

    @classmethod
    def setUpClass(cls):
        run("ip", "link", "set", "lo", "up")
        if run("ip", "link", "show", "pod0", check=False).returncode:
            run("ip", "link", "add", "pod0", "type", "veth", "peer", "name", "pod1")
            run("ip", "addr", "add", "10.244.1.1/24", "dev", "pod0")
            run("ip", "addr", "add", POD + "/32", "dev", "lo")
            for link in ("pod0", "pod1"):
                run("ip", "link", "set", link, "up")
            run("ip", "route", "add", "10.96.0.0/12", "dev", "pod0")
        options = webdriver.ChromeOptions()
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        from selenium.webdriver.chrome.service import Service
        cls.browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        cls.browser.set_window_size(1280, 800)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.log = open(self.folder.with_suffix(".log"), "w+", encoding="utf-8")
        self.agent = None

    def tearDown(self):
        self.stop()
        run(PROGRAM, "cleanup", check=False)
        shutil.rmtree(self.folder)
        self.log.close()
        self.folder.with_suffix(".log").unlink()
        bad = [line for line in self.browser.get_log("browser")
               if line["level"] == "SEVERE" and "Failed to load resource" not in line["message"]]
        self.assertEqual(bad, [])

    def put(self, name, *objects):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        half = self.folder / f".{name}.half"
        half.write_text(text)
        half.rename(self.folder / f"{name}.json")

    def start(self, *more):
        self.agent = subprocess.Popen(
            [PROGRAM, "run", "--manifests", self.folder, "--hostname-override", "node-1", "--proxy-mode", self.mode,
             "--cluster-cidr", "10.244.0.0/16", "--page", "on", *more], stdout=self.log, stderr=self.log)
        self.until(lambda: self.get("/kubenatd/v1/status") and json.loads(self.get("/kubenatd/v1/status")[1])["ready"])

    def stop(self):
        if self.agent:
            self.agent.terminate()
            self.agent.wait(20)
            self.agent = None

    def get(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return None
        finally:
            connection.close()

    def until(self, what, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := what():
                    return found
            except Exception as error:  # an element that was drawn anew meanwhile
                last = error
            time.sleep(0.1)
        self.log.seek(0)
        self.fail(f"never: {locals().get('last')}\n{self.text()}\n{self.log.read()[-2000:]}")

    def open(self, path):
        self.browser.get("about:blank")
        self.browser.get(AGENT + path)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self):
        return self.browser.find_element(By.TAG_NAME, "body").text

    def says(self, *texts, seconds=60):
        self.until(lambda: all(text in self.text() for text in texts), seconds)

    def shot(self, name):
        if SCREENSHOTS:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            self.browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def dark(self, on):
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]})

    def connect(self, address):
        try:
            socket.create_connection((address, 80), timeout=0.3).close()
        except OSError:
            pass

    def web(self):
        self.put("web", service("web", "10.96.0.80", 30080), slice_of("web", [(POD, True), ("10.244.1.12", True),
                                                                              ("10.244.1.13", False)]))

    def test_services_are_listed_with_what_is_wrong_and_found_by_search(self):
        self.web()
        self.put("more", service("idle", "10.96.0.81"), service("shop", "10.96.0.82"), slice_of("shop", [(POD, True)]))
        self.start()
        self.open("/ui/")
        self.says("demo/web", "NodePort", "10.96.0.80", "2/3", "demo/idle", "no ready endpoint", "3 Services", "node-1")
        self.shot("services")
        search = self.all("#search")[0]
        search.send_keys("10.96.0.82")
        self.until(lambda: len(self.all(".scroll .row")) == 1)
        self.says("demo/shop", "1 of 3 Services")
        search.send_keys("nothing")
        self.says("None of 3 Services has “10.96.0.82nothing”")
        search.clear()
        search.send_keys("x" + Keys.BACKSPACE)
        self.all("#only")[0].click()
        self.until(lambda: [row.text for row in self.all(".scroll .row a")] == ["demo/idle"])

    def test_the_keyboard_is_enough(self):
        self.web()
        self.start()
        self.open("/ui/")
        self.says("demo/web")
        body = self.browser.find_element(By.TAG_NAME, "body")
        body.send_keys("/")
        self.assertEqual(self.browser.switch_to.active_element.get_attribute("id"), "search")
        self.all(".scroll")[0].send_keys(Keys.ARROW_DOWN)
        self.until(lambda: self.browser.switch_to.active_element.text == "demo/web")
        self.browser.switch_to.active_element.send_keys(Keys.ENTER)
        self.says("Endpoint chains")
        box = next(one for one in self.all(".box[role=button]") if "KUBE-SVC-" in one.get_attribute("aria-label"))
        self.browser.execute_script("arguments[0].focus()", box)
        self.browser.switch_to.active_element.send_keys(Keys.ENTER)
        self.says("-A KUBE-SVC-", "--probability")

    def test_an_empty_node_says_why_nothing_is_there(self):
        self.start()
        self.open("/ui/")
        self.says("No Service is known here", str(self.folder))
        self.open("/ui/#/service/demo/gone")
        self.says("There is no such Service here")

    def test_a_service_is_drawn_from_what_is_asked_for_to_the_pods(self):
        self.web()
        self.start()
        self.open("/ui/#/service/demo/web")
        self.says("demo/web", "10.96.0.80:80/tcp", "NodePort 30080/tcp", "10.244.1.12:8080", "50 %", "not ready")
        self.assertEqual(len(self.all(".box.unused")), 1)
        self.assertEqual(len(self.all(".box.bad")), 0)
        self.assertEqual(len(self.all(".way.bad")), 0)
        next(one for one in self.all(".box[role=button]") if "KUBE-SVC-" in one.get_attribute("aria-label")).click()
        self.says("-A KUBE-SVC-")
        self.assertTrue(self.all(".rules .copy"))
        self.shot("service")

    def test_new_connections_are_counted(self):
        self.put("web", service("web", "10.96.0.80"), slice_of("web", [(POD, True)]))
        self.start(*self.counting)
        server = socket.create_server((POD, 8080))
        threading.Thread(target=lambda: [server.accept() for _ in range(200)], daemon=True).start()
        self.open("/ui/")
        self.says("demo/web")

        def rate():
            for _ in range(5):
                socket.create_connection(("10.96.0.80", 80), timeout=5).close()
            cell = self.all(".scroll .row > :nth-child(5)")[0].text
            return cell not in ("–", "0") and float(cell) > 0
        self.until(rate)
        self.assertNotIn("are not counted", self.text())
        self.open("/ui/#/service/demo/web")
        self.says(" a second")
        if self.mode == "iptables":  # of an element there is no figure in the picture
            self.until(lambda: any(one.text.replace("100 %, ", "").split(" ")[0] not in ("", "0")
                                   for one in self.all(".figure")))
        server.close()

    def test_an_endpoint_that_goes_leaves_the_picture(self):
        self.web()
        self.start()
        self.open("/ui/#/service/demo/web")
        self.says("10.244.1.12:8080", "50 %")
        self.put("web", service("web", "10.96.0.80", 30080), slice_of("web", [(POD, True)]))
        self.until(lambda: "10.244.1.12:8080" not in self.text() and "100 %" in self.text())
        self.put("web", service("web", "10.96.0.80", 30080), slice_of("web", []))
        self.says("no ready endpoint", "It has no endpoint")

    def drawn_chain(self):
        """The page shows demo/web; the chain that chooses its endpoint."""
        self.web()
        self.start()
        self.open("/ui/#/service/demo/web")
        self.says("50 %")
        rules = run("iptables", "-w", "-t", "nat", "-S").stdout
        return next(line.split()[1] for line in rules.splitlines() if line.startswith("-N KUBE-SVC-"))

    def test_a_rule_that_is_taken_away_is_healed_and_told(self):
        chain = self.drawn_chain()
        run("iptables", "-w", "-t", "nat", "-F", chain)
        self.says("healed 1 times")
        self.assertEqual(len(self.all(".box.bad")), 0)
        self.open("/ui/")
        self.says("drift healed 1×")
        self.open("/ui/#/history")
        self.says("Drift healed", chain, "changed by iptables", "First sync", "written: 1 chain, ")
        self.assertNotIn("element", self.text())
        self.shot("history")

    def test_a_rule_that_is_missing_is_red(self):
        chain = self.drawn_chain()
        # Another writer that is faster than the healing: an object that is changed again and again waits.

        def red():
            for _ in range(4):
                run("iptables", "-w", "-t", "nat", "-F", chain)
                time.sleep(0.1)
            return self.all(".box.bad")
        self.until(red)
        self.says("missing or unwanted")
        self.shot("missing")

    def test_a_packet_is_explained_hook_by_hook(self):
        # Addresses of its own: known connections of other tests would be told.
        self.put("web", service("web", "10.96.0.85"), slice_of("web", [("10.244.1.12", True), ("10.244.1.14", True)]))
        self.put("idle", service("idle", "10.96.0.86"))
        self.start()
        self.open("/ui/#/packet")
        self.all("#to")[0].send_keys("10.96.0.85:80" + Keys.ENTER)
        self.says("The client sees: answer", "KUBE-SERVICES", "Where it ends", "50.0 %", "10.244.1.12:8080")
        self.assertTrue(self.all(".hook h3"))
        before = len(self.all(".step"))
        self.all("#all")[0].click()
        self.until(lambda: len(self.all(".step")) > before)
        self.all("#all")[0].click()
        self.shot("packet")
        self.open("/ui/#/packet?to=10.96.0.86:80&go=1")
        self.says("Problem:", "selector-matches-nothing", "The client sees: refused")
        self.shot("packet-refused")
        self.open("/ui/#/packet?to=rubbish&go=1")
        self.until(lambda: self.all(".empty.bad"))
        self.says("rubbish")

    def test_real_packets_light_the_rules_that_they_pass(self):
        # No pod that does not answer: the neighbour would be known as such, and explain tells it.
        self.put("web", service("web", "10.96.0.80"), slice_of("web", [(POD, True)]))
        self.start("--page-trace", "on")
        self.open("/ui/#/packet?to=10.96.0.80:80&from=node&go=1")
        self.says("Where it ends")
        self.until(lambda: self.all("#trace")[0].is_displayed())
        self.all("#trace")[0].click()
        self.says("The kernel tells")
        end = time.monotonic() + 30
        while not self.all(".traced") and time.monotonic() < end:
            self.connect("10.96.0.80")
            time.sleep(0.3)
        self.says("passed now", "as explained")
        self.assertGreater(len(self.all(".step.lit")), 2)
        self.shot("traced")

    def test_nobody_traces_without_the_option(self):
        self.web()
        self.start()
        self.open("/ui/#/packet?to=10.96.0.80:80&from=node&go=1")
        self.says("Where it ends")
        self.assertFalse(self.all("#trace")[0].is_displayed())
        self.assertEqual(self.get("/ui/api/trace?to=10.96.0.80:80")[0], 404)

    def test_names_and_texts_of_others_are_text(self):
        self.web()
        self.start()
        self.open("/ui/#/service/demo/" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
        self.says(HOSTILE)
        self.open("/ui/#/packet?go=1&to=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
        self.until(lambda: self.all(".empty.bad"))
        run("iptables", "-w", "-t", "nat", "-I", "OUTPUT", "-m", "comment", "--comment", HOSTILE)
        self.open("/ui/#/packet?to=10.96.0.80:80&go=1")
        self.says("The client sees")
        self.all("#all")[0].click()
        self.says(HOSTILE)
        run("iptables", "-w", "-t", "nat", "-D", "OUTPUT", "-m", "comment", "--comment", HOSTILE)
        self.assertEqual(self.all("main img"), [])
        with self.assertRaises(Exception):
            self.browser.switch_to.alert.accept()

    def test_it_fits_from_360_pixels_to_4k_in_light_and_dark(self):
        self.web()
        self.start()
        for width, height in ((360, 740), (1280, 800), (3840, 2160)):
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
            for path in ("/ui/", "/ui/#/service/demo/web", "/ui/#/packet?to=10.96.0.80:80", "/ui/#/history"):
                self.open(path)
                self.says("node-1")
                self.until(lambda: self.browser.execute_script(
                    "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"), 10)
            if width == 360:
                self.dark(True)
                self.open("/ui/#/service/demo/web")
                self.says("50 %")
                self.contrast()
                self.shot("small-dark")
                self.dark(False)
                self.contrast()
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def contrast(self):
        """Text against what is behind it, by WCAG 2's formula: 4.5 or more."""
        worst = self.browser.execute_script("""
          const light = (c) => { const v = c.map((x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
          const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
          const behind = (e) => { for (; e; e = e.parentElement) {
              if (e.tagName === 'g' && e.querySelector(':scope > rect')) return parse(getComputedStyle(e.querySelector(':scope > rect')).fill);
              const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0.99) return c; }
            return parse(getComputedStyle(document.documentElement).backgroundColor); };
          let worst = [99, ''];
          for (const e of document.querySelectorAll('body *')) {
            if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length || e.closest('title')) continue;
            const style = getComputedStyle(e);
            const front = parse(e instanceof SVGElement ? style.fill : style.color);
            const [a, b] = [light(front), light(behind(e))].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 200)];
          }
          return worst;""")
        self.assertGreaterEqual(worst[0], 4.5, worst[1])

    def test_ten_thousand_services_scroll_with_few_rows(self):
        for part in range(20):
            objects = []
            for i in range(part * 500, part * 500 + 500):
                name = f"s{i:05}"
                objects += [service(name, f"10.{100 + i // 65536}.{i // 256 % 256}.{i % 256}"),
                            slice_of(name, [(f"10.244.{i // 250 % 250}.{i % 250 + 1}", True)])]
            self.put(f"part-{part}", *objects)
        self.start()
        self.open("/ui/")
        self.says("10,000 Services", "demo/s00000", seconds=120)
        scroll = self.all(".scroll")[0]
        for part in (0.5, 1.0, 0.25):
            self.browser.execute_script(
                "arguments[0].scrollTop = arguments[1] * (arguments[0].scrollHeight - arguments[0].clientHeight)",
                scroll, part)
            wanted = {0.5: "demo/s05", 1.0: "demo/s09999", 0.25: "demo/s02"}[part]
            self.until(lambda wanted=wanted: wanted in self.text())
            self.assertLess(len(self.all(".scroll .row")), 100)
        self.shot("ten-thousand")
        status, text = self.get("/ui/api/now?view=services&offset=5000&limit=100000")
        self.assertEqual(status, 200)
        self.assertLessEqual(len(json.loads(text)["services"]["rows"]), 200)

    def test_an_agent_that_is_gone_is_told(self):
        self.web()
        self.start()
        self.open("/ui/")
        self.says("demo/web")
        self.stop()
        self.says("The agent does not answer", "demo/web")
        self.start()
        self.until(lambda: "The agent does not answer" not in self.text())


class Nftables(Page):
    mode = "nftables"
    counting = ("--service-metrics", "10")

    def test_why_connections_are_not_counted_is_told(self):
        self.web()
        self.start()
        self.open("/ui/")
        self.says("demo/web", "New connections are not counted: in nftables mode --service-metrics switches that on.")
        self.assertEqual(self.all(".scroll .row > :nth-child(5)")[0].text, "–")
        self.open("/ui/#/service/demo/web")
        self.says("not counted: in nftables mode --service-metrics switches that on")

    @unittest.skipUnless(shutil.which("nft"), "nft is not installed (Debian: nftables)")
    def test_elements_that_are_taken_away_are_healed_and_told(self):
        self.web()
        self.start("--own-table", "off")
        run("nft", "flush", "map", "ip", "kubenatd", "endpoints")
        self.open("/ui/#/history")
        self.says("Drift healed", "endpoints", "changed by nft", "written: 2 elements")

    def test_a_service_is_drawn_from_what_is_asked_for_to_the_pods(self):
        self.web()
        self.start("--nodeport-addresses", "0.0.0.0/0")
        self.open("/ui/#/service/demo/web")
        self.says("10.96.0.80:80/tcp", "@endpoints", "10.244.1.12:8080")
        self.assertEqual(len(self.all(".box.bad")), 0)
        self.assertEqual(len(self.all(".box.unused")), 1)
        self.shot("service-nftables")

    test_services_are_listed_with_what_is_wrong_and_found_by_search = (
        Page.test_services_are_listed_with_what_is_wrong_and_found_by_search)
    test_real_packets_light_the_rules_that_they_pass = Page.test_real_packets_light_the_rules_that_they_pass
    test_new_connections_are_counted = Page.test_new_connections_are_counted


# What is the same in both modes, or is of iptables' chains alone, is looked at once.
for of_iptables in [name for name in vars(Page) if name.startswith("test_") and name not in vars(Nftables)]:
    setattr(Nftables, of_iptables, None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
