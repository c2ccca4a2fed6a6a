# SPDX-License-Identifier: Apache-2.0
"""The scripts of `phonofilm completion`, driven in the shells that they are for."""
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
from conftest import BUILD, PROGRAM

SHELLS = ["bash", "zsh", "fish"]
TYPED = [                                  # what is typed, \t for Tab, and what it becomes
    ("gen\t", {"generate"}),
    ("generate --cuda\t9", {"generate --cuda-sm-count 9", "generate --cuda-sm-count=9"}),
    ("generate --precision f3\t", {"generate --precision f32"}),
    ("generate --precision=f3\t", {"generate --precision=f32"}),
    ("generate -i pic\t", {"generate -i picture one.png"}),
    ("generate --image-path=pic\t", {"generate --image-path=picture one.png"}),
    ("generate --model-path mod\t", {"generate --model-path model"}),
    ("serve --no-au\t", {"serve --no-auth"}),
    ("serve -o mod\t", {"serve -o model"}),
    ("info mod\t", {"info model"}),
    ("bench --op conv\t", {"bench --op conv3d"}),
    ("generate --isa avx512b\t", {"generate --isa avx512bf16"}),
    ("completion fi\t", {"completion fish"}),
    ("generate --seed pic\t", {"generate --seed pic"}),
]


def needs(shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")


def script(shell):
    return subprocess.run([PROGRAM, "completion", shell], capture_output=True, check=True,
                          text=True).stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    (folder / "model").mkdir()
    (folder / "modern.txt").touch()         # no folder: not proposed where one is wanted
    (folder / "picture one.png").touch()
    return folder


class Terminal:
    """A shell that believes it is used by a person."""

    def __init__(self, arguments, cwd):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(arguments[0], arguments, {
                "PATH": os.environ["PATH"], "TERM": "xterm", "HOME": str(cwd),
                "LC_ALL": "C.UTF-8"})
        self.seen = ""

    def wait(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.seen):
            left = end - time.monotonic()
            if left < 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"{pattern} does not come: {self.seen!r}")
            try:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"the shell is gone: {self.seen!r}") from None
        found = re.search(pattern, self.seen)
        self.seen = self.seen[found.end():]
        return found.group(1) if found.groups() else None

    def type(self, text):
        os.write(self.master, text.encode())

    def close(self):
        self.type("\x03\nexit\n")
        os.close(self.master)
        os.waitpid(self.pid, 0)


def typed(shell, cwd, lines):
    """What the lines become: `phonofilm` is a function that says how it was called."""
    terminal = Terminal({"bash": ["bash", "--norc", "--noprofile", "-i"],
                         "zsh": ["zsh", "-f", "-i"]}[shell], cwd)
    result = []
    try:
        ready = "autoload -U compinit && compinit -u -D; " if shell == "zsh" else ""
        terminal.type(f"{ready}source ./script; stty -echo; "
                      "phonofilm() { echo \"<<$*>>\"; }; echo 're''ady'\n")
        terminal.wait("ready")
        for line in lines:
            terminal.type(f"phonofilm {line}\n")
            result.append(terminal.wait("<<(.*?)>>").strip().rstrip("/"))
    finally:
        terminal.close()
    return result


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes(shell, place):
    needs(shell)
    (place / "script").write_text(script(shell))
    became = typed(shell, place, [line for line, _ in TYPED])
    for (line, wanted), got in zip(TYPED, became):
        assert got in wanted, f"{line!r} became {got!r}"


def fish(line, cwd):
    """The proposals of fish for a line that ends where Tab is pressed."""
    done = subprocess.run(
        ["fish", "--no-config", "-c", "source script; complete -C $argv[1]", line],
        cwd=cwd, capture_output=True, text=True, check=True, timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "LC_ALL": "C.UTF-8"})
    return {proposal.split("\t")[0].rstrip("/") for proposal in done.stdout.splitlines()}


def test_fish_completes(place):
    needs("fish")
    (place / "script").write_text(script("fish"))
    for line, wanted in TYPED:
        before, tab, _ = line.partition("\t")
        proposals = fish(f"phonofilm {before}", place)
        for want in wanted:
            last = want[want.rfind(" ", 0, len(before)) + 1:]
            if "--seed" in line:
                assert proposals == set()
            elif "=" not in want or "=" in before:
                assert last.removesuffix(" 9") in proposals, (line, proposals)
    assert "modern.txt" not in fish("phonofilm info mod", place)


def flags_of(command):
    told = subprocess.run([PROGRAM, command, "--help"], capture_output=True, text=True)
    return set(re.findall(r"^ .*?(--[a-z0-9-]+)", told.stdout, re.M)) - {"--usage"}


@pytest.mark.parametrize("command", ["generate", "serve", "info", "bench"])
def test_every_flag_is_known_to_every_shell(command):
    flags = flags_of(command)
    assert len(flags) > 5
    bash = re.search(rf"^    {command}:\*(?::-\*)?\) set -- -W '(.*?)'", script("bash"), re.M)
    assert set(bash.group(1).split()) == flags
    zsh = re.search(rf"\({command}\)\n(.*?);;", script("zsh"), re.S).group(1)
    assert set(re.findall(r"(--[a-z0-9-]+)(?:\[|=?'\[|=?\})", zsh)) == flags
    fish_flags = re.findall(rf"seen_subcommand_from {command}' -l ([a-z0-9-]+)", script("fish"))
    assert {f"--{name}" for name in fish_flags} | {"--help"} == flags


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_understand_their_script(shell, tmp_path):
    needs(shell)
    path = tmp_path / "script"
    path.write_text(script(shell))
    subprocess.run([shell, "-n", path], check=True)


@pytest.mark.parametrize("shell, name", [("bash", "phonofilm"), ("zsh", "_phonofilm"),
                                         ("fish", "phonofilm.fish")])
def test_what_is_installed_is_what_the_program_says(shell, name):
    assert (BUILD / "packaging" / name).read_text() == script(shell)


@pytest.mark.parametrize("arguments, word", [([], "missing"), (["tcsh"], "'tcsh'"),
                                             ([""], "''"), (["bash", "zsh"], "zsh")])
def test_other_shells_are_refused(run, arguments, word):
    done = run("completion", *arguments)
    assert done.code == 2 and done.out == ""
    assert word in done.err
