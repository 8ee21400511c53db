#!/usr/bin/env python3
"""What scripts/release.sh makes, from two folders, around one program.

    release_test.py SOURCE_DIR PROGRAM

The program is not built again: that the compiler gives the same bytes is what scripts/release.sh --check is for. Where buildah
or git are not there, nothing is tested, by name.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv.pop(1)).resolve()
PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
ARCHITECTURE = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600, check=False, **more)


def must(*words, **more):
    result = run(*words, **more)
    assert result.returncode == 0, (words, result.stdout, result.stderr)
    return result.stdout


def clone(folder):
    """The source as it is now, committed or not."""
    must("git", "clone", "--quiet", SOURCE, folder)
    changed = must("git", "-C", SOURCE, "ls-files", "--modified", "--others", "--exclude-standard", "-z")
    for name in filter(None, changed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (SOURCE / name).exists():
            shutil.copy2(SOURCE / name, target, follow_symlinks=False)
    return folder


def release(folder, *words):
    return run(folder / "scripts/release.sh", *words, cwd="/")


class Release(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.work = pathlib.Path(cls.temporary.name)
        cls.made = []
        for name in ("one", "another/deeper"):
            folder = clone(cls.work / name)
            must("cmake", "--preset", "release", "-DKUBENATD_TESTS=OFF", cwd=folder)
            shutil.copy2(PROGRAM, folder / "build/kubenatd")
            output = cls.work / ("made-" + name.replace("/", "-"))
            must(folder / "scripts/release.sh", "--try", "--only", ARCHITECTURE, "--no-build", "--output", output, cwd="/")
            cls.made.append(output)
        cls.version = must(PROGRAM, "--version").split()[1]

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def file(self, name):
        return self.made[0] / name.format(v=self.version, a=ARCHITECTURE)

    def test_two_folders_give_the_same_files(self):
        sums = [(made / "SHA256SUMS").read_text() for made in self.made]
        self.assertEqual(sums[0], sums[1])
        names = [line.split()[1] for line in sums[0].splitlines()]
        self.assertEqual(names, sorted(path.name for path in self.made[0].iterdir() if path.name != "SHA256SUMS"))
        for line in sums[0].splitlines():
            wanted, name = line.split()
            self.assertEqual(hashlib.sha256((self.made[0] / name).read_bytes()).hexdigest(), wanted)

    def test_everything_is_there(self):
        for name in ("NO-RELEASE", "kubenatd_{v}_{a}.deb", "kubenatd-{v}-linux-{a}.tar.gz", "kubenatd-{v}-linux-{a}.spdx.json",
                     "kubenatd-{v}-image.tar", "kubenatd-chart-{v}.tgz", "kubenatd-manifests-{v}.tar.gz",
                     "kubectl-kubenatd-{v}.tar.gz", "kubenatd-krew-{v}.yaml"):
            self.assertTrue(self.file(name).is_file(), name)

    def test_archives_do_not_tell_who_made_them(self):
        for name in ("kubenatd-{v}-linux-{a}.tar.gz", "kubenatd-chart-{v}.tgz", "kubenatd-manifests-{v}.tar.gz",
                     "kubectl-kubenatd-{v}.tar.gz", "kubenatd-{v}-image.tar"):
            with tarfile.open(self.file(name)) as archive:
                members = archive.getmembers()
                self.assertTrue(members)
                self.assertEqual({(member.uid, member.gid) for member in members}, {(0, 0)}, name)
                self.assertEqual(len({member.mtime for member in members}), 1, name)
                self.assertFalse([member.name for member in members if member.issym() or member.islnk()], name)

    def test_the_list_names_every_library_with_version_and_licence(self):
        document = json.loads(self.file("kubenatd-{v}-linux-{a}.spdx.json").read_text())
        self.assertEqual(document["spdxVersion"], "SPDX-2.3")
        packages = {package["name"]: package for package in document["packages"]}
        identifiers = {package["SPDXID"] for package in packages.values()} | {"SPDXRef-DOCUMENT"}
        self.assertEqual(len(identifiers), len(packages) + 1)
        for package in packages.values():
            self.assertTrue(package["versionInfo"], package)
            self.assertNotEqual(package["licenseDeclared"], "NOASSERTION", package)
        said = {info["licenseId"] for info in document.get("hasExtractedLicensingInfos", [])}
        used = {word for package in packages.values() for word in package["licenseDeclared"].split() if "LicenseRef" in word}
        self.assertEqual(said, used)
        for relation in document["relationships"]:
            self.assertIn(relation["spdxElementId"], identifiers)
            self.assertIn(relation["relatedSpdxElement"], identifiers)
        # Every library of the archive, by dpkg.
        with tarfile.open(self.file("kubenatd-{v}-linux-{a}.tar.gz")) as archive:
            libraries = [pathlib.Path(name).name for name in archive.getnames() if "/lib/" in name and ".so" in name]
        self.assertGreater(len(libraries), 10)
        for library in libraries:
            owners = {line.split(":")[0] for line in must("dpkg-query", "--search", "*/" + library).splitlines()}
            self.assertTrue(owners & set(packages), library)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("busybox"), "needs root and busybox")
    def test_the_archive_needs_nothing_of_the_system(self):
        root = self.work / "bare"
        (root / "bin").mkdir(parents=True)
        busybox = pathlib.Path(shutil.which("busybox"))
        self.assertIn("not a dynamic", run("ldd", busybox).stderr + run("ldd", busybox).stdout)
        for name in ("busybox", "sh", "dirname", "readlink"):
            shutil.copy2(busybox, root / "bin" / name)
        must("tar", "-xzf", self.file("kubenatd-{v}-linux-{a}.tar.gz"), "-C", root)
        os.symlink(f"/kubenatd-{self.version}-linux-{ARCHITECTURE}/bin/kubenatd", root / "bin/kubenatd")
        told = must("chroot", root, "/bin/kubenatd", "version", "-o", "json")
        self.assertEqual(json.loads(told)["version"], self.version)
        self.assertEqual(run("chroot", root, "/bin/kubenatd", "no-such").returncode, 2)

    def test_the_plugin_of_the_manifest_is_that_of_the_archive(self):
        manifest = self.file("kubenatd-krew-{v}.yaml").read_text()
        self.assertNotIn("@", manifest)
        archive = self.file("kubectl-kubenatd-{v}.tar.gz")
        self.assertIn("sha256: " + hashlib.sha256(archive.read_bytes()).hexdigest(), manifest)
        with tarfile.open(archive) as files:
            self.assertEqual(sorted(files.getnames()), ["LICENSE", "kubectl-kubenatd"])
            self.assertEqual(files.getmember("kubectl-kubenatd").mode & 0o777, 0o755)

    @unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed")
    def test_the_kustomizations_have_the_version(self):
        folder = self.work / "manifests"
        folder.mkdir()
        must("tar", "-xzf", self.file("kubenatd-manifests-{v}.tar.gz"), "-C", folder)
        for name in ("base", "kind"):
            text = must("kubectl", "kustomize", folder / f"kubenatd-manifests-{self.version}" / name)
            self.assertIn(f"image: localhost/kubenatd:{self.version}\n", text)

    def test_only_what_is_committed_and_told_is_released(self):
        folder = self.work / "one"
        for words, why in (((), "usage"), (("9.9.9",), "not 9.9.9"), (("--no-build", self.version), "usage"),
                           (("--check", "--try"), "usage"), (("--only", "mips", "--try"), "usage")):
            refused = release(folder, *words)
            self.assertNotEqual(refused.returncode, 0, words)
            self.assertIn(why, refused.stderr)
        changelog = folder / "CHANGELOG.md"
        text = changelog.read_text()
        changelog.write_text(text.replace("\n## [", "\n## [9.9.9] - 2026-01-01\n\n## [", 1))
        self.assertIn("topmost heading", release(folder, self.version).stderr)
        heading = next(line for line in text.splitlines() if line.startswith("## "))
        changelog.write_text(text.replace(heading, f"## [{self.version}] - 2026-01-01", 1))
        refused = release(folder, self.version)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("not as it was committed", refused.stderr)
        self.assertIn("CHANGELOG.md", refused.stderr)


if __name__ == "__main__":
    for needed in ("buildah", "git", "cmake"):
        if not shutil.which(needed):
            print(f"SKIPPED: {needed} is not installed")
            sys.exit(0)
    unittest.main()
