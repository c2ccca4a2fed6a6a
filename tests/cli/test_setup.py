# SPDX-License-Identifier: Apache-2.0
"""tools/packages.sh, tools/install.sh and the Makefile: what a newcomer meets first.

Tools that would change the machine (apt-get, sudo, meson) are stand-ins here.
"""
import os
import shlex
import shutil
import stat
import subprocess

import pytest
from conftest import BUILD, ROOT

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
SANITIZED = BUILD.name != "build"


class Machine:
    """A folder as the top of a checkout, and programs that stand for the machine's."""

    def __init__(self, folder):
        self.top = folder / "check out"
        self.bin = folder / "bin"
        self.top.mkdir()
        self.bin.mkdir()
        shutil.copytree(ROOT / "tools", self.top / "tools")
        shutil.copy(ROOT / "meson.build", self.top)
        for name in ("sh", "cat", "sed", "grep", "tail", "head", "sort", "mkdir", "dirname",
                     "find", "rm", "env", "true"):
            (self.bin / name).symlink_to(shutil.which(name))
        self.program("id", "case $1 in -u) echo 1000 ;; *) echo ann ;; esac")
        self.program("dpkg-query", "case $4 in gcc) echo 'install ok installed' ;; "
                     "*) exit 1 ;; esac")

    def program(self, name, text):
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text("#!/bin/sh\n" + text + "\n")
        path.chmod(0o755)

    def run(self, command):
        return subprocess.run(["sh", "-c", "set -eu; . tools/packages.sh; " + command],
                              cwd=self.top, env={"PATH": str(self.bin)}, text=True,
                              capture_output=True, timeout=60)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


COMMAND = "apt-get update && apt-get install -y --no-install-recommends make xxd"


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_who_cannot_be_root_gets_one_whole_command(machine, sudo):
    machine.program("apt-get", "echo never")
    if sudo:
        machine.program("sudo", sudo)
    done = machine.run("need_packages apt.log gcc make xxd; echo never")
    assert done.returncode == 1 and done.stdout == ""
    assert [line.strip() for line in done.stderr.splitlines()][1:] == [COMMAND]


def test_nothing_is_asked_for_when_all_is_there(machine):
    done = machine.run("need_packages apt.log gcc; echo done")
    assert done.returncode == 0 and done.stdout == "done\n" and done.stderr == ""


def test_the_noise_of_apt_goes_to_a_log(machine):
    machine.program("sudo", '[ "$1" != -n ] || shift; exec "$@"')
    machine.program("apt-get", "echo noise; echo more >&2; echo $* >>calls")
    done = machine.run("need_packages build/apt.log make xxd gcc; echo done")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[1:] == ["done"]
    assert "make xxd" in done.stdout and "build/apt.log" in done.stdout
    assert (machine.top / "build" / "apt.log").read_text() == 2 * "noise\nmore\n"
    calls = (machine.top / "calls").read_text().splitlines()
    assert calls[0] == "update"
    assert calls[1].startswith("install -y ") and calls[1].endswith(" make xxd")


@pytest.mark.parametrize("said, words", [
    ("E: Failed to fetch http://deb.debian.org/x  Temporary failure resolving 'deb'",
     ["is there a network?", "apt.log", "make"]),
    ("E: Unable to locate package make", ["is there a network?", "apt.log", "make"]),
    ("E: dpkg was interrupted", ["dpkg was interrupted", "apt.log"])])
def test_why_apt_failed_is_said(machine, said, words):
    machine.program("sudo", '[ "$1" != -n ] || shift; exec "$@"')
    machine.program("apt-get", f"[ $1 = update ] && exit 0; echo {shlex.quote(said)}; exit 100")
    done = machine.run("need_packages apt.log make; echo never")
    assert done.returncode == 1 and "never" not in done.stdout
    for word in words:
        assert word in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("version, fine", [("0.56.2", False), ("0.61.0", True),
                                           ("1.0.1", True), ("1.10.0", True)])
def test_a_meson_too_old_is_named(machine, version, fine):
    machine.program("meson", f"echo {version}")
    done = machine.run("need_meson; echo done")
    assert (done.returncode == 0) == fine == (done.stdout == "done\n")
    if not fine:
        assert version in done.stderr and "0.61" in done.stderr
        assert str(machine.bin / "meson") in done.stderr


def as_nobody(command, cwd):
    """Runs it as somebody who owns nothing here."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root, to become somebody else")
    return subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c",
         "set -eu; . tools/packages.sh; " + command], cwd=cwd, capture_output=True,
        text=True, timeout=60)


def open_up(folder):
    while folder != folder.parent:
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
        folder = folder.parent


def test_a_checkout_that_cannot_be_written(machine):
    open_up(machine.top)
    done = as_nobody("need_place build; echo never", machine.top)
    assert done.returncode == 1 and done.stdout == ""
    assert str(machine.top) in done.stderr and "copy the folder" in done.stderr


def test_a_build_of_another_user(machine):
    open_up(machine.top)
    machine.top.chmod(0o777)
    (machine.top / "build" / "x").mkdir(parents=True)
    done = as_nobody("need_place build films; echo never", machine.top)
    assert done.returncode == 1 and done.stdout == ""
    assert f"{machine.top}/build cannot be written" in done.stderr


def test_a_checkout_that_was_moved_is_configured_anew(machine):
    machine.program("meson", 'echo "$@" >>calls; mkdir -p build; echo >build/build.ninja')
    machine.program("ninja", "[ ! -e build/old ]")
    done = machine.run("build_in build -Da=b; build_in build; build_in build -Da=b; "
                       'build_in "$(pwd)/build"')    # by whichever name
    assert done.returncode == 0, done.stderr
    assert len((machine.top / "calls").read_text().splitlines()) == 1
    (machine.top / "build" / "place").write_text("/somewhere/else/build\n")
    (machine.top / "build" / "old").touch()
    done = machine.run("build_in build -Da=b")
    assert done.returncode == 0, done.stderr
    assert len((machine.top / "calls").read_text().splitlines()) == 2


def test_packages_explain_why_meson_failed(machine):
    machine.program("meson", "echo 'meson.build:1:1: ERROR: Dependency \"cmocka\" not found'; "
                    "echo much more; exit 1")
    done = machine.run("packages_build=gcc; build_in build -Dtests=true; echo never")
    assert done.returncode == 1 and done.stdout == ""
    assert "cmocka" in done.stderr and "install -y --no-install-recommends libcmocka-dev" \
        in done.stderr and "much more" not in done.stderr
    machine.program("dpkg-query", "echo 'install ok installed'")
    done = machine.run("build_in build -Dtests=true; echo never")
    assert done.returncode == 1 and "much more" in done.stderr


@pytest.mark.skipif(not os.path.exists("/etc/debian_version"), reason="Debian's folders")
def test_the_folder_of_libraries_without_dpkg_architecture(machine):
    machine.program("cc", "[ $1 = -print-multiarch ] && echo hal-linux-gnu")
    assert machine.run("library_folder").stdout == "--libdir=lib/hal-linux-gnu\n"
    machine.program("cc", "exit 1")
    assert machine.run("library_folder").stdout == "--libdir=lib\n"
    machine.program("dpkg-architecture", "")
    assert machine.run("library_folder").stdout == ""


def test_the_debian_package_is_built_with_what_the_build_needs(machine):
    needed = machine.run("echo $packages_build").stdout.split()
    control = (ROOT / "debian" / "control").read_text()
    wanted = control[control.index("Build-Depends:"):control.index("Standards-Version:")]
    for package in needed:
        if package not in ("gcc", "libc6-dev", "make"):     # build-essential
            assert f" {package}," in wanted or f" {package} (" in wanted, package


# --- the Makefile ---------------------------------------------------------------------


def make(*arguments, **more):
    return subprocess.run(["make", "-s", f"BUILD={BUILD}", *arguments], cwd=ROOT, text=True,
                          capture_output=True, timeout=600, **more)


@needs_make
def test_an_emulator_that_there_is_not():
    done = make("ascend-env", "CANN=7.0")
    assert done.returncode != 0 and done.stdout == ""
    assert "7.0" in done.stderr and "8.3" in done.stderr


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """A place to install into; the build is as before in the end."""
    before = subprocess.run(
        ["sh", "-c", '. tools/packages.sh; . tools/install.sh; configured "$0" prefix', BUILD],
        cwd=ROOT, text=True, capture_output=True, check=True).stdout.strip()
    yield tmp_path_factory.mktemp("installed") / "an other place"
    subprocess.run(["meson", "configure", BUILD, f"-Dprefix={before}"], check=True,
                   capture_output=True)
    subprocess.run(["ninja", "-C", BUILD], check=True, capture_output=True)


@needs_make
@pytest.mark.skipif(SANITIZED, reason="a sanitizer would have to be linked")
def test_installed_it_runs_at_once(prefix, tmp_path):
    done = make("install", f"PREFIX={prefix}")
    assert done.returncode == 0, done.stderr
    assert str(prefix) in done.stdout and "export PATH" in done.stdout
    film = subprocess.run(
        [prefix / "bin" / "phonofilm", "generate", "-q", "-p", "A red wooden ball.", "-s",
         "2", "--num-frames", "9", "-o", tmp_path / "film.mp4"], cwd=tmp_path, text=True,
        capture_output=True, env={"PATH": "/usr/bin:/bin"})
    assert film.returncode == 0 and (tmp_path / "film.mp4").exists(), film.stderr
    files = {str(p.relative_to(prefix)) for p in prefix.rglob("*") if not p.is_dir()}
    for name in ("share/man/man1/phonofilm.1", "include/phonofilm.h",
                 "share/phonofilm/models/nano/model_index.json",
                 "share/bash-completion/completions/phonofilm",
                 "share/zsh/site-functions/_phonofilm",
                 "share/fish/vendor_completions.d/phonofilm.fish"):
        assert name in files
    config, = prefix.rglob("phonofilm.pc")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "phonofilm"], check=True, text=True,
        capture_output=True, env={**os.environ, "PKG_CONFIG_PATH": str(config.parent)}).stdout
    subprocess.run(["cc", "examples/make_film.c", "-o", tmp_path / "make_film",
                    *shlex.split(flags)], cwd=ROOT, check=True)
    own = subprocess.run([tmp_path / "make_film"], cwd=tmp_path, text=True,
                         capture_output=True, env={
                             "LD_LIBRARY_PATH": str(config.parent.parent)})
    assert "model_path" in own.stderr
    (prefix / "share" / "mine").touch()
    done = make("uninstall", f"PREFIX={prefix}")
    assert done.returncode == 0, done.stderr
    assert [p.name for p in prefix.rglob("*")] == ["share", "mine"]
    done = make("uninstall", f"PREFIX={prefix}")
    assert done.returncode != 0 and str(prefix) in done.stderr


@needs_make
@pytest.mark.skipif(SANITIZED, reason="a sanitizer would have to be linked")
def test_a_stage_is_below_destdir(tmp_path, prefix):
    stage = tmp_path / "a stage"
    done = make("install", f"PREFIX={prefix}", f"DESTDIR={stage}")
    assert done.returncode == 0, done.stderr
    assert (stage / str(prefix)[1:] / "bin" / "phonofilm").exists()
    assert not (prefix / "bin" / "phonofilm").exists()
    done = make("uninstall", f"PREFIX={prefix}", f"DESTDIR={stage}")
    assert done.returncode == 0, done.stderr
    assert not [p for p in stage.rglob("*") if not p.is_dir()]
