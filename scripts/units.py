#!/usr/bin/env python3
"""Tells which of the product's sources can be compiled together, since much of the time goes to the headers that each
translation unit includes.

usage: units.py tidy BUILD_DIR OUTPUT_DIR
       units.py groups

Sources of a folder go together unless they have the same name in their unnamed namespaces. "tidy" writes the translation
units that scripts/tidy.sh gives to clang-tidy, and keeps apart what is compiled with other options. OUTPUT_DIR gets the
units, a compile_commands.json for them, and "units", their names, a line each. "groups" prints for each source of the
repository's folders its absolute path and its group, at most LARGEST in each, with a semicolon between: for CMakeLists.txt.
"""

import collections
import json
import os
import re
import shlex
import sys

FOLDERS = ("rules", "netlink", "agent")
LARGEST = 8  # so that all processors have something to do until the end
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


def groups():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    for top in FOLDERS:
        for folder, _, files in sorted(os.walk(top)):
            sources = sorted(os.path.abspath(os.path.join(folder, file)) for file in files if file.endswith(".cpp"))
            for number, members in enumerate(together(sources)):
                for at, member in enumerate(members):
                    print(f"{member};{folder.replace('/', '_')}_{number}_{at // LARGEST}")


def tidy(build, output):
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


if len(sys.argv) == 2 and sys.argv[1] == "groups":
    groups()
elif len(sys.argv) == 4 and sys.argv[1] == "tidy":
    tidy(*sys.argv[2:])
else:
    sys.exit(__doc__)
