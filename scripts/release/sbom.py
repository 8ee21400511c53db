#!/usr/bin/env python3
"""Says which software is in a release, as SPDX 2.3 JSON: the program, the libraries beside it, and those compiled into it.

    sbom.py --rootfs DIR --admindir DIR --architecture ARCH --version VERSION --commit COMMIT

DIR is a folder of scripts/image.sh --rootfs; the packages, their versions and licences are those that dpkg knows. All times
are SOURCE_DATE_EPOCH.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

# Headers alone, or templates of a library: their code is in the program.
COMPILED_IN = ["libboost1.74-dev", "libboost-dev", "nlohmann-json3-dev", "libspdlog-dev", "libfmt-dev", "libcpprest-dev",
               "libprotozero-dev", "prometheus-cpp-dev", "libstdc++-12-dev"]

# Short names of Debian's machine-readable copyright files, and what SPDX calls them.
LICENCES = {
    "apache-2.0": "Apache-2.0", "apache-2": "Apache-2.0", "artistic": "Artistic-1.0-Perl", "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause-uc": "BSD-4-Clause-UC", "bsl-1.0": "BSL-1.0", "boost-1.0": "BSL-1.0",
    "cc0-1.0": "CC0-1.0", "expat": "MIT", "mit": "MIT", "gpl-1": "GPL-1.0-only", "gpl-1+": "GPL-1.0-or-later",
    "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-2.0": "GPL-2.0-only", "gpl-2.0+": "GPL-2.0-or-later",
    "gpl-3": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later", "isc": "ISC", "lgpl-2": "LGPL-2.0-only",
    "lgpl-2+": "LGPL-2.0-or-later", "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later",
    "lgpl-3": "LGPL-3.0-only", "lgpl-3+": "LGPL-3.0-or-later", "mpl-2.0": "MPL-2.0", "ms-pl": "MS-PL",
    "openssl": "OpenSSL", "python-2.0": "PSF-2.0", "zlib": "Zlib",
}

# Of packages whose copyright files say it in prose.
IN_PROSE = {
    "libc6": "LGPL-2.1-or-later", "libgcc-s1": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libstdc++6": "GPL-3.0-or-later WITH GCC-exception-3.1", "libstdc++-12-dev": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libnl-3-200": "LGPL-2.1-only", "libnl-route-3-200": "LGPL-2.1-only",
}


def identifier(text):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", text)


class Packages:
    """What dpkg knows."""

    def __init__(self, admindir, rootfs):
        self.admindir = pathlib.Path(admindir)
        self.rootfs = pathlib.Path(rootfs)
        fields = ["binary:Package", "Package", "Version", "source:Package", "source:Version", "Architecture", "Homepage"]
        listing = subprocess.run(
            ["dpkg-query", f"--admindir={admindir}", "--show", "--showformat",
             "\\t".join("${%s}" % field for field in fields) + "\\n"], capture_output=True, text=True, check=True).stdout
        self.known = {}
        for line in listing.splitlines():
            values = dict(zip(fields, line.split("\t")))
            self.known.setdefault(values["Package"], values)

    def copyright(self, name):
        """The text, where the package's documentation is."""
        root = self.admindir.parents[2]
        for place in (self.rootfs, root):
            path = place / "usr/share/doc" / name / "copyright"
            if path.is_file():
                return path.read_text(encoding="utf-8", errors="replace")
        return None


def licences(text):
    """The expression for a copyright file, and the names in it that SPDX has not."""
    if text is None or not re.search(r"^Format:.*copyright-format", text, re.M):
        return "NOASSERTION", {}
    parts, others = set(), {}
    for stanza in re.split(r"\n\s*\n", text):
        # That of the package's own files; who packs is no part of what is shipped.
        files = re.search(r"^Files:\s*((?:.*\n)(?:[ \t]+.*\n)*)", stanza + "\n", re.M)
        licence = re.search(r"^License:[ \t]*(.*)$", stanza, re.M)
        if not files or not licence or files[1].split() == ["debian/*"]:
            continue
        for name in re.split(r"\s*(?:,|\band\b|\bor\b|/|\|)\s*", licence[1].strip()):
            short = re.sub(r"\s+with\s.*$", "", name, flags=re.I).strip()
            if not short:
                continue
            known = LICENCES.get(short.lower().replace(" ", "-"))
            if known is None:
                known = "LicenseRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", short)
                others[known] = short
            parts.add(known)
    return (" AND ".join(sorted(parts)) or "NOASSERTION"), others


def main():
    parser = argparse.ArgumentParser()
    for name in ("rootfs", "admindir", "architecture", "version", "commit"):
        parser.add_argument("--" + name, required=True)
    asked = parser.parse_args()
    created = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    packages = Packages(asked.admindir, asked.rootfs)
    shipped = sorted(path.parent.name for path in pathlib.Path(asked.rootfs).glob("usr/share/doc/*/copyright")
                     if path.parent.name != "kubenatd")
    compiled = [name for name in COMPILED_IN if name in packages.known and name not in shipped]
    missing = [name for name in shipped if name not in packages.known]
    if missing:
        sys.exit("sbom: dpkg does not know " + ", ".join(missing))

    program = pathlib.Path(asked.rootfs) / "usr/sbin/kubenatd"
    root = identifier("kubenatd")
    entries = [{
        "SPDXID": root, "name": "kubenatd", "versionInfo": asked.version, "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "primaryPackagePurpose": "APPLICATION",
        "sourceInfo": "git commit " + asked.commit, "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0",
        "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(program.read_bytes()).hexdigest()}],
    }]
    relationships = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": root}]
    extracted = {}
    for name, kind in [(name, "DYNAMIC_LINK") for name in shipped] + [(name, "STATIC_LINK") for name in compiled]:
        known = packages.known[name]
        text = packages.copyright(name)
        expression, others = licences(text)
        if expression == "NOASSERTION":
            expression = IN_PROSE.get(name, expression)
        for reference, short in others.items():
            extracted.setdefault(reference, (short, name))
        entry = {
            "SPDXID": identifier(name), "name": name, "versionInfo": known["Version"],
            "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "primaryPackagePurpose": "LIBRARY",
            "sourceInfo": f"source package {known['source:Package']} {known['source:Version']}",
            "licenseConcluded": "NOASSERTION", "licenseDeclared": expression, "copyrightText": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": "pkg:deb/debian/{}@{}?arch={}".format(
                                  name.replace("+", "%2B"), known["Version"].replace("+", "%2B").replace(":", "%3A"),
                                  known["Architecture"])}],
        }
        if known["Homepage"]:
            entry["homepage"] = known["Homepage"]
        entries.append(entry)
        if name == "ca-certificates":
            kind = "DEPENDS_ON"
            entry["primaryPackagePurpose"] = "FILE"
        relationships.append({"spdxElementId": root, "relationshipType": kind, "relatedSpdxElement": entry["SPDXID"]})
    document = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"kubenatd-{asked.version}-linux-{asked.architecture}",
        "documentNamespace": f"https://spdx.org/spdxdocs/kubenatd-{asked.version}-linux-{asked.architecture}-{asked.commit}",
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: kubenatd-sbom"]},
        "packages": entries, "relationships": relationships,
    }
    if extracted:
        document["hasExtractedLicensingInfos"] = [
            {"licenseId": reference, "name": short,
             "extractedText": f"\"{short}\", as the copyright file of Debian's package {name} names it; the text is there."}
            for reference, (short, name) in sorted(extracted.items())]
    print(json.dumps(document, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
