#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run every test of Lodge, a few at a time, and end with the line "N passed, M failed".

usage: tests/run.py [--only PATTERN] [-j N] [--list] [-v]

What is a test:
  check/NAME        the include check, the no-SIMD check
  unit/DIR/NAME     tests/unit: a cmocka program; each case counts
  isa/NAME, oracle/NAME
                    tests/isa, tests/oracle: a program; each line "ok NAME" or "FAIL NAME: why"
                    counts, exit status 0 means that all passed
  guest/DIR/NAME    tests/guest: a bare-metal image, run on Lodge; lines as above
  lockstep/DIR/NAME the same with both tiers compared after each block (-accel soft,check=on)
  fuzz/NAME         tests/fuzz: a libFuzzer target, run for some seconds (FUZZ_SECONDS)
  DIR/X             tests/DIR/test_X.py: pytest (system, tools); each function counts
  systems/X, kvm/X, kmod/X  the same, but long: only when asked for (`make check-systems`, …)

PATTERN is a shell wildcard or the beginning of a name. A test that cannot run, because something
is missing, fails with a sentence; what needs root, or a package that Lodge can do without, is skipped with one. Nothing
is skipped silently.
"""
import argparse
import fnmatch
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
BUILD = os.environ.get("B", "build/gcc")
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "3"))
# libFuzzer's runs are short, but the machine may be busy: every limit is generous.
TIMEOUTS = {"check": 120, "unit": 300, "isa": 300, "oracle": 600, "golden": 60, "guest": 240, "fuzz": 120}
PYTEST_TIMEOUT = 900
SYSTEMS_TIMEOUT = 3 * 3600
LONG = ("systems/", "kvm/", "kmod/")  # only when asked for


class Job:
    """One process to run. `parse(rc, output)` returns [(case or "", passed, why)]."""

    def __init__(self, name, cmd, timeout, parse, env=None, cost=1):
        self.name, self.cmd, self.timeout, self.parse = name, cmd, timeout, parse
        self.env, self.cost = env or {}, cost


# ---- how each kind of output is read -------------------------------------------------------

def parse_exit(rc, out):
    return [("", rc == 0, "exit status %d" % rc)]


def parse_cmocka(rc, out):
    cases = [(n, None if s == "SKIPPED" else s == "OK", "it says why in its log" if s == "SKIPPED" else "see the log")
             for s, n in re.findall(r"^\[ +(OK|FAILED|SKIPPED|ERROR) +\] (?!\d+ test)(\S+)", out,
                                    re.M)]
    seen, unique = set(), []
    for c in cases:  # failed cases are listed again in the summary
        if c[0] not in seen:
            seen.add(c[0])
            unique.append(c)
    started = re.findall(r"^\[ RUN +\] (\S+)", out, re.M)
    for n in started:
        if n not in seen:
            unique.append((n, False, "it did not finish (exit status %d)" % rc))
    if not unique:
        unique.append(("", False, "no test case ran (exit status %d)" % rc))
    elif rc != 0 and all(c[1] is not False for c in unique):
        unique.append(("", False, "exit status %d" % rc))
    return unique


def parse_lines(rc_ok):
    """Lines "ok NAME", "FAIL NAME: why", "skip NAME: why"; a skip is a failure to run."""
    def parse(rc, out):
        cases = []
        for word, name, why in re.findall(r"^(ok|FAIL|skip) ([^:\r\n]*)(?:: ?([^\r\n]*))?", out,
                                          re.M):
            cases.append((name.strip(), word == "ok",
                          why if word == "FAIL" else "could not run: " + why))
        if rc != rc_ok and all(c[1] for c in cases):
            cases.append(("", False, "exit status %d, expected %d" % (rc, rc_ok)))
        if not cases:
            cases.append(("", True, ""))
        return cases
    return parse


def parse_pytest(rc, out):
    """Lines "tests/x/test_y.py::name PASSED" of pytest -v; a skip has its reason in brackets, a failure
    its own in the summary at the end: "FAILED tests/x/test_y.py::name - why"."""
    reasons = dict(re.findall(r"^(?:FAILED|ERROR) \S+?::(.+?) - (.*)$", out, re.M))
    cases = [(name, None if word == "SKIPPED" else word == "PASSED",
              why if word == "SKIPPED" else word.lower() + ", " + reasons.get(name, "see the log"))
             for name, word, why in re.findall(
                 r"^tests/\S+?::(.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b(?: \((.*)\))?",
                 out, re.M)]
    if not cases:
        return [("", False, "pytest ran no test (exit status %d)" % rc)]
    if rc != 0 and all(c[1] is not False for c in cases):
        cases.append(("", False, "pytest exit status %d" % rc))
    return cases


# ---- where the tests are -------------------------------------------------------------------

def programs(kind, parse):
    """tests/KIND/**/X.c must have been built as BUILD/tests/KIND/**/X."""
    jobs = []
    for src in sorted(glob.glob("tests/%s/**/*.c" % kind, recursive=True)):
        rel = src[len("tests/"):-2]
        if not has_main(src):
            continue
        jobs.append(Job(rel, [os.path.join(BUILD, "tests", rel)], TIMEOUTS[kind], parse,
                        cost=60 if kind == "oracle" else 3))
    return jobs


def isa_jobs(only):
    """All of tests/isa, or those asked for: isa/NAME, isa/FAMILY, or the beginning of a name."""
    jobs = programs("isa", parse_lines(0))
    for p in only:
        name = p[len("isa/"):]
        if p.startswith("isa/") and name and not any(matches(j.name, p) for j in jobs):
            jobs.append(Job(p, [os.path.join(BUILD, "tests", "isa", "isa"), name],
                            TIMEOUTS["isa"], parse_lines(0), cost=3))
    return jobs


def has_main(path):
    with open(path) as f:
        return re.search(r"^int main\(", f.read(), re.M) is not None


def check_jobs():
    jobs = [Job("check/layers", [sys.executable, "tools/check_layers.py"], TIMEOUTS["check"],
                parse_exit)]
    nosimd = os.environ.get("NOSIMD", "x86 mem engine/soft").split()
    objs = [o for f in nosimd for o in sorted(glob.glob("%s/src/%s/*.o" % (BUILD, f)))]
    jobs.append(Job("check/nosimd", [sys.executable, "tools/check_nosimd.py"] + objs,
                    TIMEOUTS["check"], parse_exit, cost=5))
    rest = sorted(set(glob.glob("%s/src/**/*.o" % BUILD, recursive=True)) - set(objs))
    jobs.append(Job("check/nox87", [sys.executable, "tools/check_nosimd.py", "--x87"] + rest,
                    TIMEOUTS["check"], parse_exit, cost=10))
    return jobs


def fuzz_jobs():
    jobs = []
    art = "build/fuzz/artifacts/"
    os.makedirs(art, exist_ok=True)
    for src in sorted(glob.glob("tests/fuzz/*.c")):
        name = os.path.basename(src)[:-2]
        cmd = ["build/fuzz/bin/" + name, "-max_total_time=%d" % FUZZ_SECONDS, "-timeout=30",
               "-rss_limit_mb=3000", "-print_final_stats=1", "-verbosity=1",
               "-artifact_prefix=%s%s-" % (art, name)]
        seeds = "tests/fuzz/corpus/" + name
        if os.path.isdir(seeds):
            scratch = "build/fuzz/corpus/" + name  # new inputs go to the first folder
            os.makedirs(scratch, exist_ok=True)
            cmd += [scratch, seeds]
        jobs.append(Job("fuzz/" + name, cmd, TIMEOUTS["fuzz"] + FUZZ_SECONDS, parse_exit,
                        cost=FUZZ_SECONDS + 1))
    return jobs


def guest_header(src):
    """Settings in a guest program's first comment: "run: -smp 2 -m 64M" and "expect: reset"
    (or off)."""
    with open(src) as f:
        head = f.read(3000)
    args = re.search(r"^ \* run: (.*)$", head, re.M)
    expect = re.search(r"^ \* expect: (\w+)", head, re.M)
    return (args.group(1).split() if args else []), (expect.group(1) if expect else "pass")


def guest_cmd(image, args):
    vm = os.environ.get("LODGE", "build/lodge run").split()
    return vm + ["-m", "128M", "-display", "none", "-monitor", "none", "-nic", "none",
                 "-no-reboot", "-serial", "stdio", "-device",
                 "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", image] + args


def guest_jobs():
    jobs = []
    images = []
    for src in sorted(glob.glob("tests/guest/*/*.c")):
        rel = src[len("tests/"):-2]
        if rel.startswith("guest/both/"):  # built once for 32-bit and once for 64-bit mode
            images += [(src, rel.replace("both/", "both%s/" % bits)) for bits in ("32", "64")]
        elif not rel.startswith("guest/lib/"):
            images.append((src, rel))
    for src, rel in images:
        args, expect = guest_header(src)
        # isa-debug-exit turns the value 0x10 into (0x10 << 1) | 1; power-off, and a reset under
        # -no-reboot, are 0.
        parse = parse_lines({"pass": 33, "reset": 0, "off": 0}[expect])
        jobs.append(Job(rel, guest_cmd("build/%s.elf" % rel, args), TIMEOUTS["guest"], parse,
                        cost=10))
        if "-smp" not in args:  # lockstep is for one CPU
            jobs.append(Job(rel.replace("guest/", "lockstep/", 1),
                            guest_cmd("build/%s.elf" % rel, args + ["-accel", "soft,check=on"]),
                            TIMEOUTS["guest"], parse, cost=10))
    return jobs


# Of the long ones, which begin first.
LONGEST = {"kvm/svm": 2, "kvm/vmx": 3, "kvm/state": 1, "kvm/state_off": 1}


def pytest_jobs():
    jobs = []
    for path in sorted(glob.glob("tests/*/test_*.py")):
        name = path[len("tests/"):-3].replace("/test_", "/")
        cmd = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--tb=short", path]
        long = name.startswith(LONG)
        env = {"COLUMNS": "250"}  # room for the reason of a skip
        jobs.append(Job(name, cmd, SYSTEMS_TIMEOUT if long else PYTEST_TIMEOUT, parse_pytest, env,
                        cost=1000 + LONGEST.get(name, 0) if long else 100 if name.startswith("system/") else 5))
    return jobs


def all_jobs(only):
    jobs = check_jobs() + programs("unit", parse_cmocka) + isa_jobs(only) + \
        programs("oracle", parse_lines(0)) + programs("golden", parse_lines(0)) + guest_jobs() + fuzz_jobs() + pytest_jobs()
    if only:
        jobs = [j for j in jobs if any(matches(j.name, p) for p in only)]
    else:
        jobs = [j for j in jobs if not j.name.startswith(LONG)]
    return jobs


def matches(name, pattern):
    if any(c in pattern for c in "*?["):
        return fnmatch.fnmatch(name, pattern)
    # T=system/test_cli means tests/system/test_cli.py, which is called system/cli here
    # and T=system means tests/system alone, not tests/systems
    return name.startswith(pattern.replace("/test_", "/") if "/" in pattern else pattern + "/")


# ---- running -------------------------------------------------------------------------------

class Runner:
    def __init__(self, jobs, verbose):
        self.queue = sorted(jobs, key=lambda j: -j.cost)
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0
        self.verbose = verbose
        self.failures = []
        self.children = set()

    def next_job(self):
        with self.lock:
            return self.queue.pop(0) if self.queue else None

    def work(self):
        while True:
            job = self.next_job()
            if job is None:
                return
            t0 = time.monotonic()
            rc, out, note = self.execute(job)
            secs = time.monotonic() - t0
            cases = [] if note else job.parse(rc, out)
            if note:
                # keep the cases that did finish, the rest failed
                cases = [c for c in job.parse(rc, out) if c[0] and c[1]]
                cases.append(("", False, note))
            self.report(job, cases, out, secs)

    def execute(self, job):
        """(status, output, None or why it could not finish)"""
        if not os.path.exists(job.cmd[0]) and "/" in job.cmd[0]:
            return -1, "", "%s is missing: it did not build, or `make %s` was not run" % (
                job.cmd[0], "check")
        with tempfile.TemporaryFile() as f:
            p = subprocess.Popen(job.cmd, stdout=f, stderr=subprocess.STDOUT,
                                 stdin=subprocess.DEVNULL, env={**os.environ, **job.env},
                                 start_new_session=True)
            with self.lock:
                self.children.add(p)
            note = None
            try:
                rc = p.wait(job.timeout)
            except subprocess.TimeoutExpired:
                note = "not finished after %d s: killed" % job.timeout
                os.killpg(p.pid, signal.SIGKILL)
                rc = p.wait()
            with self.lock:
                self.children.discard(p)
            f.seek(0, os.SEEK_END)
            size = f.tell()
            f.seek(max(0, size - (4 << 20)))
            return rc, f.read().decode(errors="replace").replace("\r\n", "\n"), note

    def report(self, job, cases, out, secs):
        took = " (%.1f s)" % secs
        with self.lock:
            for name, ok, why in cases:
                full = job.name + (": " + name if name else "")
                if ok is None:
                    self.skipped += 1
                    print("skip %s: %s" % (full, why))
                elif ok:
                    self.passed += 1
                    print("ok   %s%s" % (full, took if len(cases) == 1 else ""))
                else:
                    self.failed += 1
                    self.failures.append("%s: %s" % (full, why))
                    print("FAIL %s: %s" % (full, why))
            if len(cases) > 1:
                print("     %s: %d cases%s" % (job.name, len(cases), took))
            if self.verbose or any(c[1] is False for c in cases):
                print("---- log of %s: %s" % (job.name, " ".join(job.cmd[:12])))
                print(out[-12000:])
                print("---- end of the log of %s" % job.name)
            sys.stdout.flush()

    def stop(self):
        with self.lock:
            self.queue = []
            for p in self.children:
                try:
                    os.killpg(p.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--only", action="append", default=[])
    ap.add_argument("-j", type=int, default=os.cpu_count() or 1)
    ap.add_argument("--list", action="store_true")
    ap.add_argument("-v", action="store_true", help="show the log of passed tests as well")
    a = ap.parse_args()
    os.chdir(TOP)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # take the children along
    jobs = all_jobs(a.only)
    if a.list:
        print("\n".join(j.name for j in jobs))
        return 0
    if not jobs:
        print("run.py: no test is called %s" % " ".join(a.only), file=sys.stderr)
        return 2
    runner = Runner(jobs, a.v)
    threads = [threading.Thread(target=runner.work) for _ in range(max(1, a.j))]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    except KeyboardInterrupt:
        runner.stop()
        raise
    if runner.failures:
        print("\nfailed:")
        for line in runner.failures:
            print("  " + line)
    if runner.skipped:
        print("%d skipped, as said above" % runner.skipped)
    print("%d passed, %d failed" % (runner.passed, runner.failed))
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
