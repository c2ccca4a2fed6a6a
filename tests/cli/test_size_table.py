# SPDX-License-Identifier: Apache-2.0
"""tools/size_table.py over a small checkout."""
import shutil
import subprocess

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("ctags"), reason="there is no ctags")

FILES = {
    "src/low/a.h": "int a(void);\n",
    "src/low/a.c": '#include "low/a.h"\n#include "high/top.h"\n/* One\n * more. */\n'
                   'int a(void)\n{\n    return 1; /* and */\n}\n',
    "src/high/top.h": "int top(void);\n",
    "src/high/top.c": '#include "high/top.h"\n#include "low/a.h"\n#include "high/side.h"\n'
                      'int top(void)\n{\n    return 2;\n}\n',
    "src/high/more.c": '#include "low/a.h"\n#include "high/top_parts.h"\n',
    "src/high/top_parts.h": '#include "high/top.h"\n',
    "src/high/side.h": '#include "high/top.h"\n',
}


@pytest.fixture
def checkout(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def rows_of(*folders):
    done = subprocess.run([ROOT / "tools" / "size_table.py", *folders], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return {line[:40].split("  ")[0] if not line.startswith("  ") else line.strip():
            line.split("  ")[-1].strip() for line in done.stdout.splitlines()}


def test_one_checkout(checkout):
    rows = rows_of(checkout)
    assert rows["C files"] == "7" and rows["functions"] == "2"
    assert rows["function median / p95 / max"] == "4 / 4 / 4"
    assert rows["comment lines, src/low"] == "22.2 %"       # 2 of 9
    assert rows["arrows that run up"] == "1"
    assert any(name.startswith("src/low -> src/high (1)") for name in rows)
    assert rows["circles inside folders"] == "1"
    assert any(name.startswith("src/high: side top") for name in rows)


def test_two_side_by_side(checkout, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(checkout / "src", other / "src")
    (other / "src" / "high" / "side.h").write_text("")
    rows = rows_of(checkout, other)
    assert rows["circles inside folders"] == "0"
    assert any(name.startswith("src/high: side top") and name.endswith("-") for name in rows)


def test_what_is_no_checkout(tmp_path):
    done = subprocess.run([ROOT / "tools" / "size_table.py", tmp_path], capture_output=True,
                          text=True)
    assert done.returncode == 1 and "no C file" in done.stderr
