#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what a checkout measures, or several side by side: tools/size_table.py [FOLDER...]

Lengths of functions and files, shares of lines that are comments alone, includes between
folders that run up, circles of files inside a folder.  Functions come from Universal Ctags
(apt install universal-ctags); a function is measured from its name to its closing brace.

A file is a unit with its headers: x.c, x.h and x_parts.h are one, so that they are no circle.  Where two
folders include each other, the direction with fewer includes runs up.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def spread(values):
    return f"{percentile(values, 0.5)} / {percentile(values, 0.95)} / {max(values, default=0)}"


def sources(root):
    """The C files of src/ and include/."""
    found = []
    for folder in ("src", "include"):
        found += sorted((root / folder).rglob("*.[ch]"))
    return found


def function_lengths(files):
    tags = subprocess.run(
        ["ctags", "--output-format=json", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f",
         "--fields=neNF", "-L", "-", "-f", "-"],
        input="\n".join(map(str, files)), capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in tags.stdout.splitlines()]
    return {(row["path"], row["name"]): row["end"] - row["line"] + 1
            for row in rows if "end" in row}


def comment_lines(text):
    """Lines that hold nothing but a comment, and all that are not blank."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found
        return re.sub(r"[^\n]", " ", found)
    bare = COMMENT.sub(blank, text).split("\n")
    lines = text.split("\n")
    written = sum(bool(line.strip()) for line in lines)
    alone = sum(bool(line.strip()) and not rest.strip() for line, rest in zip(lines, bare))
    return alone, written


def share(pairs):
    alone, written = map(sum, zip(*pairs)) if pairs else (0, 0)
    return f"{100 * alone / written:.1f} %" if written else "-"


def includes(root, files):
    """(file, included file), both of the checkout."""
    known = set(files)
    for path in files:
        for name in INCLUDE.findall(path.read_text(errors="replace")):
            for base in (path.parent, root / "src", root / "include", root):
                target = (base / name).resolve()
                if target in known:
                    yield path, target
                    break


def circles(edges):
    """Groups of names that reach each other, each with its members in order."""
    graph = {}
    for a, b in edges:
        graph.setdefault(a, set()).add(b)
        graph.setdefault(b, set())

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for following in graph[todo.pop()]:
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return seen
    reached = {name: reach(name) for name in graph}
    groups = {frozenset(b for b in reached[a] if a in reached[b])
              for a in graph if a in reached[a]}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def arrows_up(root, pairs):
    count = {}
    for path, target in pairs:
        a, b = (str(p.parent.relative_to(root)) for p in (path, target))
        if a != b and b != "include":
            count[a, b] = count.get((a, b), 0) + 1
    return sorted(f"{a} -> {b} ({n})" for (a, b), n in count.items()
                  if (n, a) < (count.get((b, a), 0), b) and (b, a) in count)


def circles_inside(root, pairs):
    folders = {}
    for path, target in pairs:
        edge = tuple(p.stem.removesuffix("_parts") for p in (path, target))
        if path.parent == target.parent and edge[0] != edge[1]:
            folders.setdefault(path.parent, set()).add(edge)
    return [f"{folder.relative_to(root)}: {' '.join(group)}"
            for folder, edges in sorted(folders.items()) for group in circles(edges)]


def measure(root):
    """The rows of one checkout, in order: {name: text}."""
    files = [path.resolve() for path in sources(root)]
    if not files:
        sys.exit(f"size_table: there is no C file in src/ of {root}")
    lengths = function_lengths(files)
    lines = {path: path.read_text(errors="replace").count("\n") for path in files}
    longest = sorted(lengths, key=lengths.get)[-1:]
    rows = {"C files": len(files), "lines": sum(lines.values()), "functions": len(lengths),
            "function median / p95 / max": spread(list(lengths.values())),
            "longest function": " ".join(name for _, name in longest),
            "file median / p95 / max": spread(list(lines.values())),
            "longest file": str(max(lines, key=lines.get).relative_to(root)),
            "files over 500 lines": sum(n > 500 for n in lines.values())}
    comments = {path: comment_lines(path.read_text(errors="replace")) for path in files}
    rows["comment lines, all"] = share(list(comments.values()))
    for folder in sorted({p.relative_to(root).parts[:2] for p in files}):
        inside = [c for p, c in comments.items() if p.relative_to(root).parts[:2] == folder]
        rows["comment lines, " + "/".join(folder)] = share(inside)
    pairs = list(includes(root, files))
    for title, found in (("arrows that run up", arrows_up(root, pairs)),
                         ("circles inside folders", circles_inside(root, pairs))):
        rows[title] = len(found)
        rows |= {f"  {line}": "x" for line in found}
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folders", nargs="*", type=pathlib.Path,
                        default=[pathlib.Path(__file__).resolve().parent.parent])
    options = parser.parse_args()
    if not shutil.which("ctags"):
        sys.exit("size_table: there is no ctags; apt install universal-ctags")
    tables = [measure(folder.resolve()) for folder in options.folders]
    names = list(dict.fromkeys(name for table in tables for name in table))
    cells = [["", *map(str, options.folders)]] if len(tables) > 1 else []
    cells += [[name, *(str(table.get(name, "-")) for table in tables)] for name in names]
    widths = [max(len(row[i]) for row in cells) for i in range(len(tables) + 1)]
    for row in cells:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


if __name__ == "__main__":
    main()
