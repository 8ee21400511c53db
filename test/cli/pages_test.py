#!/usr/bin/env python3
"""The help, the manual pages and the shells' completions.

    pages_test.py SOURCE_DIR PROGRAM

Readers of manual pages and shells that are not in PATH are passed over by name.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv.pop(1)).resolve()
PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
PAGES = SOURCE / "scripts" / "package" / "pages"
SCREEN = 40


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False, **more)


def kubenatd(*words):
    result = run(PROGRAM, *words)
    assert result.returncode == 0, (words, result.stderr)
    return result.stdout


def commands():
    text = kubenatd("--help").split("\nCommands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z-]+) +\S", text, re.M)


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class Help(unittest.TestCase):
    def test_of_each_command_fits_a_screen(self):
        self.assertGreater(len(commands()), 8)
        self.assertLessEqual(kubenatd("--help").count("\n"), SCREEN)
        for command in commands():
            with self.subTest(command=command):
                self.assertLessEqual(kubenatd(command, "--help").count("\n"), SCREEN)

    def test_all_flags_are_told_when_asked_for(self):
        self.assertNotIn("--conntrack-min", kubenatd("run", "--help"))
        self.assertIn("--conntrack-min", kubenatd("run", "--help=all"))
        number = re.search(r"and (\d+) more flags", kubenatd("run", "--help"))[1]
        flags = re.compile(r"^  (?:-\w,|   ) --([a-z0-9-]+)", re.M)
        self.assertEqual(len(flags.findall(kubenatd("run", "--help=all"))),
                         len(flags.findall(kubenatd("run", "--help"))) + int(number))
        self.assertEqual(run(PROGRAM, "run", "--help=some").returncode, 2)

    def test_examples_are_of_the_command_and_its_flags_exist(self):
        for command in commands():
            with self.subTest(command=command):
                examples = kubenatd(command, "--help=all").split("\nExamples:\n")[1].splitlines()
                self.assertTrue(examples)
                for line in examples:
                    self.assertIn(f"kubenatd {command} ", line + " ")
                    for flag in re.findall(r" (--[a-z-]+)", line.split("   ")[0] if "   " in line.strip() else line):
                        self.assertIn(f" {flag}", kubenatd(command, "--help=all").split("\nExamples:\n")[0])


class Version(unittest.TestCase):
    def test_is_told_for_programs(self):
        told = json.loads(kubenatd("version", "-o", "json"))
        version = re.search(r"^project\(kubenatd VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text(), re.M)[1]
        self.assertEqual(told["version"], version)
        self.assertEqual(kubenatd("--version"), f"kubenatd {version}\n")
        self.assertRegex(told["commit"], r"^([0-9a-f]{40}(-changed)?|)$")
        self.assertRegex(told["commitDate"], r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|)$")
        self.assertEqual(bool(told["commit"]), bool(told["commitDate"]))
        names = [library["name"] for library in told["libraries"]]
        self.assertEqual(names, sorted(names))
        for library in told["libraries"]:
            self.assertRegex(library["built"], r"^\d+\.\d+", library)
            self.assertRegex(library.get("loaded", "1.0"), r"^\d+\.\d+", library)
        for name in ("libmnl", "libnftnl", "libnl", "openssl", "cpprestsdk", "libyaml"):
            self.assertIn(name, names)


class Pages(unittest.TestCase):
    def test_those_in_the_package_are_what_the_program_prints(self):
        with tempfile.TemporaryDirectory() as folder:
            made = run(SOURCE / "scripts" / "pages.sh", PROGRAM, folder)
            self.assertEqual(made.returncode, 0, made.stderr)
            names = sorted(path.name for path in pathlib.Path(folder).iterdir())
            self.assertEqual(names, sorted(path.name for path in PAGES.iterdir()))
            for name in names:
                same = (pathlib.Path(folder) / name).read_text() == (PAGES / name).read_text()
                self.assertTrue(same, f"{name} is not what kubenatd prints: scripts/pages.sh writes it")

    def test_each_command_has_one_with_all_its_flags(self):
        for command in commands():
            page = (PAGES / f"kubenatd-{command}.8").read_text().replace("\\-", "-")
            for flag in re.findall(r"^  (?:-\w,|   ) --([a-z0-9-]+)", kubenatd(command, "--help=all"), re.M):
                self.assertRegex(page, rf"--{flag}\b", command)
            self.assertIn(f"kubenatd-{command}", (PAGES / "kubenatd.8").read_text().replace("\\-", "-"))

    @needs("mandoc")
    def test_mandoc_finds_no_fault(self):
        result = run("mandoc", "-T", "lint", "-W", "warning", *PAGES.glob("*.8"))
        # A page is as old as the version that its foot names.
        faults = [line for line in result.stdout.splitlines() if "missing date" not in line]
        self.assertEqual(faults, [])

    @needs("man")
    def test_man_shows_them_without_a_warning(self):
        for page in PAGES.glob("*.8"):
            result = run("man", "--warnings", "-E", "UTF-8", "-l", page, env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80",
                                                                             "LC_ALL": "C.UTF-8", "PAGER": "cat"})
            if "troff" in result.stderr and "not found" in result.stderr:
                self.skipTest("man has no troff")
            self.assertEqual((result.returncode, result.stderr), (0, ""), page.name)
            self.assertIn("EXIT STATUS", result.stdout)


class Completion(unittest.TestCase):
    def test_of_another_shell_is_refused(self):
        self.assertEqual(run(PROGRAM, "completion", "tcsh").returncode, 2)
        self.assertEqual(run(PROGRAM, "completion").returncode, 2)

    def bash(self, *words):
        """What bash offers for the last of `words`, which it has divided at "="."""
        script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ' \
                 '_kubenatd kubenatd "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        result = run("bash", "-c", script, "bash", PAGES / "kubenatd.bash", "kubenatd", *words)
        return [line for line in result.stdout.splitlines() if line], result.stderr

    @needs("bash")
    def test_in_bash(self):
        self.assertEqual(self.bash(""), (commands() + ["--help", "--version"], ""))
        self.assertEqual(self.bash("ex"), (["explain"], ""))
        self.assertEqual(self.bash("check", "--nod")[0], ["--node", "--nodeport-addresses"])
        self.assertEqual(self.bash("run", "--proxy-mode", "")[0], ["iptables", "nftables"])
        self.assertEqual(self.bash("run", "--proxy-mode", "=", "n")[0], ["nftables"])
        self.assertEqual(self.bash("run", "--proxy-mode", "=")[0], ["iptables", "nftables"])
        self.assertEqual(self.bash("explain", "-o", "j")[0], ["json"])
        self.assertEqual(self.bash("completion", "")[0], ["bash", "zsh", "fish"])
        self.assertEqual(self.bash("run", "--cluster-cidr", "")[0], [])

    @needs("zsh")
    def test_in_zsh(self):
        self.assertEqual(run("zsh", "-n", PAGES / "_kubenatd").stderr, "")
        # Completion itself takes a terminal; that it loads and is the one for kubenatd does not.
        script = f"autoload -Uz compinit; compinit -u -D; source {PAGES}/_kubenatd; print -r -- $_comps[kubenatd]"
        result = run("zsh", "-f", "-c", script)
        self.assertEqual((result.stdout, result.stderr), ("_kubenatd\n", ""))

    @needs("fish")
    def test_in_fish(self):
        with tempfile.TemporaryDirectory() as home:
            def offers(line):
                result = run("fish", "--no-config", "-c", f"source {PAGES}/kubenatd.fish; complete --do-complete '{line}'",
                             env={"PATH": "/usr/bin:/bin", "HOME": home})
                self.assertEqual(result.stderr, "")
                return [each.split("\t")[0] for each in result.stdout.splitlines()]
            self.assertEqual(sorted(offers("kubenatd ")), sorted(commands()))
            self.assertEqual(offers("kubenatd run --proxy-mode "), ["iptables", "nftables"])
            self.assertEqual(offers("kubenatd check --nod"), ["--node", "--nodeport-addresses"])
            self.assertEqual(sorted(offers("kubenatd completion ")), ["bash", "fish", "zsh"])


if __name__ == "__main__":
    unittest.main()
