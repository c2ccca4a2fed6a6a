# SPDX-License-Identifier: Apache-2.0
"""What the fixtures promise: a server that crashes, or that a sanitizer complains about,
fails the test that has started it."""
import signal

import pytest


@pytest.mark.parametrize("report", [
    "==1==ERROR: AddressSanitizer: heap-use-after-free", "x.c:1:2: runtime error: overflow",
    "WARNING: ThreadSanitizer: data race"])
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_report_fails_the_test(start, report, end):
    server = start()
    with open(server.log, "a") as log:
        log.write(report + "\n")
    with pytest.raises(AssertionError, match="Sanitizer|runtime error"):
        server.stop(end)
    with pytest.raises(AssertionError, match="Sanitizer|runtime error"):
        server.judge()                  # as at the end of the test
    server.log.write_text("")


def test_a_crash_fails_the_test(start):
    server = start()
    server.process.send_signal(signal.SIGSEGV)
    server.process.wait(timeout=20)
    with pytest.raises(AssertionError, match="signal 11|Sanitizer"):
        server.judge()
    server.log.write_text("")
    server.start()
