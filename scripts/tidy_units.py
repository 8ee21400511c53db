#!/usr/bin/env python3
"""Writes the translation units that scripts/tidy.sh gives to clang-tidy: the sources of a folder together, since most of
clang-tidy's time goes to the headers that each unit includes.

usage: tidy_units.py BUILD_DIR OUTPUT_DIR

Sources that have the same name in their unnamed namespaces go to different units, and so does what is compiled with other
options. OUTPUT_DIR gets the units, a compile_commands.json for them, and "units", their names, a line each.
"""

import collections
import json
import os
import re
import shlex
import sys

FOLDERS = ("rules", "netlink", "agent")
ALIAS = re.compile(r"(?:using|namespace) (\w+) = ")
TYPE = re.compile(r"(?:struct|class|enum class|enum|concept) (\w+)")
OTHER = re.compile(r"(\w+) *(\(.*|\{|=|\[|;)")


def options_of(command):
    """Without launcher, compiler, source and object."""
    words = shlex.split(command)
    while not words[0].startswith("-"):
        words.pop(0)
    at = words.index("-o")
    return tuple(words[:at] + words[at + 2 : words.index("-c")])


def own_names(path):
    """{name: declaration} of the unnamed namespace, as clang-format lays it out: at the beginning of a line."""
    names, inside = {}, False
    for line in open(path, encoding="utf-8"):
        if line.startswith("namespace {"):
            inside = True
        elif line.startswith("}  // namespace"):
            inside = False
        elif inside and re.match(r"\w", line) and not re.match(r"template|using [\w:]+;|using namespace", line):
            if found := ALIAS.match(line):
                names[found[1]] = line
            elif found := TYPE.search(line):
                names[found[1]] = path
            elif found := OTHER.search(line):
                # Functions may have one name and different parameters.
                names[found[0].strip() if found[2].startswith("(") else found[1]] = path
    return names


def together(sources):
    """[[source]], each list without a name that two of its sources declare; the same alias may stand in both."""
    units = []
    for source in sources:
        names = own_names(source)
        for members, taken in units:
            if all(taken.get(name, said) == said for name, said in names.items()):
                members.append(source)
                taken |= names
                break
        else:
            units.append(([source], dict(names)))
    return [members for members, _ in units]


def main():
    build, output = sys.argv[1:]
    os.makedirs(output, exist_ok=True)
    groups = collections.defaultdict(list)
    for entry in json.load(open(os.path.join(build, "compile_commands.json"))):
        path = os.path.relpath(entry["file"])
        if path.split(os.sep)[0] in FOLDERS and os.path.exists(path):
            groups[os.path.dirname(path), options_of(entry["command"])].append(os.path.abspath(path))
    commands = []
    for number, ((folder, options), sources) in enumerate(sorted(groups.items())):
        for part, members in enumerate(together(sorted(sources))):
            path = os.path.abspath(os.path.join(output, f"{folder.replace('/', '_')}-{number}-{part}.cpp"))
            with open(path, "w", encoding="utf-8") as unit:
                # The kernel's headers define for themselves what it has, unless it came first.
                unit.write("#include <netinet/in.h>\n" + "".join(f'#include "{member}"\n' for member in members))
            arguments = ["clang++-16", *options, "-c", path]
            commands.append({"directory": os.getcwd(), "file": path, "arguments": arguments})
    with open(os.path.join(output, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(commands, file)
    with open(os.path.join(output, "units"), "w", encoding="utf-8") as file:
        file.writelines(command["file"] + "\n" for command in commands)


main()
