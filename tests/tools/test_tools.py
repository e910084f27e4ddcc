# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks can fail: run by `make t T=tools`."""
import importlib.util
import os
import subprocess
import sys

TOP = os.path.normpath(os.path.join(os.path.dirname(__file__), "../.."))


def load(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3],
                                                  os.path.join(TOP, path))
    mod = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mod)
    return mod


def layers(tmp_path, files):
    table = tmp_path / "layers.txt"
    table.write_text("base:\nx86: base\nengine: base x86\nengine/soft: base x86 engine\n")
    src = tmp_path / "src"
    for name, text in {"base/a.h": "", "x86/a.h": "", "engine/engine.h": "",
                       "engine/soft/soft_int.h": "", **files}.items():
        p = src / name
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text(text)
    return subprocess.run([sys.executable, os.path.join(TOP, "tools/check_layers.py"), str(src),
                           str(table)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def test_layers_when_allowed_expect_success(tmp_path):
    r = layers(tmp_path, {"engine/soft/b.c": '#include <stdio.h>\n#include "base/a.h"\n'
                          '#include "engine/engine.h"\n#include "engine/soft/soft_int.h"\n'})
    assert r.returncode == 0, r.stdout


def test_layers_when_upwards_expect_failure(tmp_path):
    r = layers(tmp_path, {"x86/b.c": '#include "base/a.h"\n#include "engine/engine.h"\n'})
    assert r.returncode == 1 and "src/x86/b.c:2" in r.stdout


def test_layers_when_private_header_from_outside_expect_failure(tmp_path):
    r = layers(tmp_path, {"engine/b.c": '#include "engine/soft/soft_int.h"\n'})
    assert r.returncode == 1 and "private" in r.stdout


def test_layers_when_no_folder_named_expect_failure(tmp_path):
    r = layers(tmp_path, {"x86/b.c": '#include "a.h"\n'})
    assert r.returncode == 1 and "folder" in r.stdout


def test_layers_when_unknown_folder_expect_failure(tmp_path):
    r = layers(tmp_path, {"new/b.c": "\n"})
    assert r.returncode == 1 and "no line" in r.stdout


def compile_object(tmp_path, text):
    c, o = tmp_path / "t.c", tmp_path / "t.o"
    c.write_text(text)
    subprocess.run(["gcc", "-O2", "-c", "-o", o, c], check=True)
    return subprocess.run([sys.executable, os.path.join(TOP, "tools/check_nosimd.py"), str(o)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)


def test_nosimd_when_integer_code_expect_success(tmp_path):
    r = compile_object(tmp_path, "int f(int a, int b) { return a * b + 1; }")
    assert r.returncode == 0, r.stdout


def test_nosimd_when_sse_expect_failure(tmp_path):
    r = compile_object(tmp_path, "double f(double a) { return a * 3; }")
    assert r.returncode == 1 and "xmm" in r.stdout


def test_nosimd_when_x87_expect_failure(tmp_path):
    r = compile_object(tmp_path, "long double f(long double *a) { return *a + 1; }")
    assert r.returncode == 1 and "fld" in r.stdout


def test_nosimd_when_libc_string_function_expect_failure(tmp_path):
    r = compile_object(tmp_path, "#include <string.h>\nsize_t f(char *a) { return strlen(a); }")
    assert r.returncode == 1 and "strlen" in r.stdout


def test_run_when_cmocka_case_fails_expect_it_counted():
    run = load("tests/run.py")
    out = ("[==========] Running 3 test(s).\n[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n"
           "boom\n[  FAILED  ] b\n[ RUN      ] c\n[       OK ] c\n[==========] 3 test(s) run.\n"
           "[  PASSED  ] 2 test(s).\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] b\n")
    got = run.parse_cmocka(1, out)
    assert [(n, ok) for n, ok, _ in got] == [("a", True), ("b", False), ("c", True)]


def test_run_when_cmocka_program_crashes_expect_running_case_failed():
    run = load("tests/run.py")
    got = run.parse_cmocka(-11, "[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n")
    assert [(n, ok) for n, ok, _ in got] == [("a", True), ("b", False)]


def test_run_when_guest_exits_without_verdict_expect_failure():
    run = load("tests/run.py")
    assert [c[1] for c in run.parse_lines(33)(0, "ok one\n")] == [True, False]
    assert [c[1] for c in run.parse_lines(33)(33, "ok one\nskip two: no AVX\n")] == [True, False]
    assert [c[1] for c in run.parse_lines(33)(35, "FAIL x: expected 0x1 got 0x2\n")] == [False]
