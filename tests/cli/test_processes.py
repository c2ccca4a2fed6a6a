# SPDX-License-Identifier: Apache-2.0
"""The program as shells know programs: signals, jobs, pipes, closed streams, terminals."""
import fcntl
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios

import pytest

from conftest import PROGRAM
from test_command_line import catches, read_all, start, wait_for

SMALL = ["--height", "32", "--width", "32", "--num-frames", "5", "-o", "f.wav"]
ENDINGS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def generate(model, *flags):
    return [str(PROGRAM), "generate", "-m", str(model), "-p", "x", "--t2va", *SMALL, *flags]


# --- signals -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", ENDINGS)
def test_an_ignored_signal_stays_ignored(model, tmp_path, number):
    """nohup, and shells without job control for what runs in the background."""
    process = subprocess.Popen(generate(model, "-s", "40"), cwd=tmp_path,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    wait_for((tmp_path / "f.wav.part").exists)
    assert not catches(process, number)
    process.send_signal(number)
    assert process.wait(timeout=60) == 0 and (tmp_path / "f.wav").exists()


def test_background_jobs_of_scripts(model, tmp_path):
    script = tmp_path / "job.sh"
    script.write_text('"$@" & pid=$!\n'
                      'while [ ! -e f.wav.part ] && kill -0 $pid; do sleep 0.01; done\n'
                      'kill -INT $pid; wait $pid; echo $?\n')
    done = subprocess.run(["sh", script, *generate(model, "-q", "-s", "40")], cwd=tmp_path,
                          capture_output=True, timeout=60)
    assert done.stdout == b"0\n", done.stderr


@pytest.mark.parametrize("number", ENDINGS)
def test_shells_see_the_signal(model, tmp_path, number):
    script = tmp_path / "job.sh"
    script.write_text('set -m; "$@" & pid=$!\n'
                      'while [ ! -e f.wav.part ] && kill -0 $pid; do sleep 0.01; done\n'
                      f'kill -{number} $pid; wait $pid; echo $?\n')
    done = subprocess.run(
        ["bash", script, *generate(model, "-q", "-s", "1000")], cwd=tmp_path, timeout=60,
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in ENDINGS],
        stdout=subprocess.PIPE)
    assert done.stdout == f"{128 + number}\n".encode()
    assert os.listdir(tmp_path) == ["job.sh"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_process_of_a_container(model, tmp_path, number):
    """The kernel ends it by no signal that it does not handle."""
    process = subprocess.Popen(["unshare", "--pid", "--fork", *generate(model, "-s", "1000")],
                               cwd=tmp_path, stderr=subprocess.PIPE)
    wait_for((tmp_path / "f.wav.part").exists)
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children) as file:
        os.kill(int(file.read()), number)
    _, message = process.communicate(timeout=20)
    if b"unshare" in message:
        pytest.skip("this machine has no namespaces for us")
    assert process.returncode == 128 + number and message == b"phonofilm: cancelled\n"
    assert os.listdir(tmp_path) == []


def test_the_second_signal_ends_at_once(model, tmp_path):
    process = subprocess.Popen(generate(model, "-s", "1000"), cwd=tmp_path,
                               stderr=subprocess.DEVNULL)
    wait_for(lambda: catches(process, signal.SIGTERM))
    process.send_signal(signal.SIGSTOP)         # both arrive before any is handled
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: process.poll() is not None or not catches(process, signal.SIGTERM))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == -signal.SIGTERM


# --- the server --------------------------------------------------------------------------


@pytest.fixture
def serve(model, tmp_path):
    """Starts a server: serve(NAME=..., before=[words]) -> process, which says its address."""
    processes = []

    def call(before=(), port=0, **more):
        process = subprocess.Popen(
            [*before, str(PROGRAM), "serve", "-m", str(model), "--port", str(port), "-o",
             str(tmp_path / "films")], cwd=tmp_path, stderr=subprocess.PIPE,
            **{"stdout": subprocess.PIPE, **more})
        processes.append(process)
        return process
    yield call
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", ENDINGS)
def test_a_server_ends_on_signals(serve, number):
    process = serve(preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    assert b"serves" in process.stdout.readline()
    process.send_signal(number)
    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_server_leaves_ignored_signals_alone(serve, number):
    process = serve(preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    assert b"serves" in process.stdout.readline()
    with open(f"/proc/{process.pid}/status") as status:
        lines = [line.split() for line in status]
    masks = {line[0]: int(line[1], 16) for line in lines if line[0] in ("SigIgn:", "SigBlk:")}
    assert masks["SigIgn:"] >> (number - 1) & 1 and not masks["SigBlk:"] >> (number - 1) & 1
    process.send_signal(number)
    process.terminate()
    assert process.wait(timeout=20) == 0


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
def test_a_server_is_the_first_process_of_a_container(serve):
    process = serve(before=["unshare", "--pid", "--fork"])
    if not process.stdout.readline():
        pytest.skip("this machine has no namespaces for us")
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        os.kill(int(file.read()), signal.SIGTERM)
    assert process.wait(timeout=20) == 0


def test_a_server_without_standard_streams(serve):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def is_up():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    process = serve(port=port, stdout=None,
                    preexec_fn=lambda: [os.close(n) for n in (0, 1, 2)])
    wait_for(is_up)
    assert {os.readlink(f"/proc/{process.pid}/fd/{n}") for n in (0, 1, 2)} == {"/"}
    process.terminate()
    assert process.wait(timeout=20) == 0


# --- standard streams ----------------------------------------------------------------------


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
def test_closed_streams_are_not_taken_by_our_files(model, tmp_path, closed):
    process = subprocess.Popen(generate(model, "-q", "-s", "40"), cwd=tmp_path,
                               preexec_fn=lambda: [os.close(n) for n in closed])
    wait_for((tmp_path / "f.wav.part").exists)
    for number in closed:
        assert os.readlink(f"/proc/{process.pid}/fd/{number}") == "/"
    assert process.wait(timeout=60) == 0
    assert (tmp_path / "f.wav").read_bytes()[:4] == b"RIFF"


COMMANDS = [["--version"], ["--help"], ["generate", "--help"], ["serve", "--usage"],
            ["info", "--platforms"], ["info", "--platforms", "--json"], ["info", "MODEL"],
            ["info", "MODEL", "--json"], ["completion", "bash"],
            ["generate", "-m", "MODEL", "-p", "x", "--t2va", "--dry-run"]]


@pytest.fixture(params=COMMANDS, ids=" ".join)
def command(request, model):
    return [str(PROGRAM), *(str(model) if a == "MODEL" else a for a in request.param)]


def test_output_that_does_not_arrive(command, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path,
                              timeout=60)
    assert done.returncode == 1 and b"No space left" in done.stderr
    done = subprocess.run(command, stderr=subprocess.PIPE, cwd=tmp_path, timeout=60,
                          preexec_fn=lambda: os.close(1))
    assert done.returncode == 1 and b"Bad file descriptor" in done.stderr


def test_a_reader_that_goes_away(command, tmp_path):
    """Silence, as from other tools; where SIGPIPE is ignored, a message."""
    for restore in (True, False):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path,
                              restore_signals=restore, timeout=60)
        os.close(writer)
        assert done.returncode == (-signal.SIGPIPE if restore else 1)
        assert done.stderr.startswith(b"" if restore else b"phonofilm: cannot write")
        assert restore == (done.stderr == b"")


def test_a_film_is_kept_when_nobody_reads_its_name(model, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(generate(model, "-s", "1"), stdout=writer, stderr=subprocess.PIPE,
                          cwd=tmp_path, timeout=60)
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE and done.stderr == b""
    assert os.listdir(tmp_path) == ["f.wav"]


def test_a_film_that_nobody_reads_to_its_end(model, tmp_path):
    for restore in (True, False):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            generate(model, "-s", "1", "-o", "-", "--contact-sheet", "s.png"), stdout=writer,
            stderr=subprocess.PIPE, cwd=tmp_path, restore_signals=restore, timeout=60)
        os.close(writer)
        assert done.returncode == (-signal.SIGPIPE if restore else 1)
        assert restore == (done.stderr == b"") and os.listdir(tmp_path) == []


# --- terminals -----------------------------------------------------------------------------


def draw(model, tmp_path, columns=0, **environment):
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    process = start(model, tmp_path, "-s", "4", "-o", "f.wav", stderr=other,
                    stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    os.close(other)
    text = read_all(terminal)
    assert process.wait(timeout=20) == 0
    return text


@pytest.mark.parametrize("columns", [10, 40, 200])
def test_the_line_fits_into_the_window(model, tmp_path, columns):
    text = draw(model, tmp_path, columns)
    lines = [line for line in text.split("\r\x1b[K") if line]
    assert lines and max(map(len, lines)) < columns
    assert (columns < 200) == (max(map(len, lines)) == columns - 1)


def test_a_dumb_terminal_has_no_line(model, tmp_path):
    assert draw(model, tmp_path, TERM="dumb") == ""
    assert draw(model, tmp_path, TERM="vt100", NO_COLOR="1") != ""


def test_no_colours(model, tmp_path):
    assert not re.search(r"\x1b\[[0-9;]*m", draw(model, tmp_path))


JOBS = 'stty tostop; set -m; "$@" >name %s pid=$!; %s; echo "code $?"'


@pytest.mark.parametrize("how, drawn", [("&", False), (";", True)])
def test_jobs_in_the_background_leave_the_terminal_alone(model, tmp_path, how, drawn):
    """Where it would stop them for what they write."""
    script = JOBS % (how, "wait $pid" if how == "&" else "true")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvp("bash", ["bash", "-c", script, "bash", *generate(model, "-s", "4")])
    text = read_all(terminal)
    os.waitpid(child, 0)
    assert "code 0" in text and ("denoise" in text) == drawn, text


def test_the_line_comes_back_after_a_stop(model, tmp_path):
    terminal, other = pty.openpty()
    process = start(model, tmp_path, "-s", "1000", "-o", "f.wav", stderr=other)
    os.close(other)
    while b"denoise" not in os.read(terminal, 65536):
        pass
    assert catches(process, signal.SIGCONT) and catches(process, signal.SIGWINCH)
    process.send_signal(signal.SIGTERM)
    read_all(terminal)
    assert process.wait(timeout=20) == -signal.SIGTERM


def test_a_terminal_that_goes_away(model, tmp_path):
    """Writing fails, and SIGHUP comes; under nohup the film is made."""
    for ignored, code in ((True, 0), (False, -signal.SIGHUP)):
        def begin():
            os.setsid()
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        terminal, other = pty.openpty()
        process = subprocess.Popen(generate(model, "-s", "40" if ignored else "1000"),
                                   cwd=tmp_path, stderr=other, stdout=subprocess.DEVNULL,
                                   preexec_fn=begin)
        os.close(other)
        while b"denoise" not in os.read(terminal, 65536):
            pass
        os.close(terminal)
        assert process.wait(timeout=60) == code
    assert os.listdir(tmp_path) == ["f.wav"]
