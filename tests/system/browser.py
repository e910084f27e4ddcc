# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the page take from elsewhere, and a browser that does as it is told (browser/drive.js)."""
import fcntl
import json
import os
import shutil
import subprocess

from vm import TOP, WORK

FAILED = {}
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "browser")


def need(*names):
    """The first of these programs that is there."""
    found = [path for path in map(shutil.which, names) if path]
    assert found, "there is no %s here: make deps" % names[0]
    return found[0]


def chromium():
    return need("chromium-headless-shell", "chromium")


def locked(name):
    os.makedirs(WORK, exist_ok=True)
    f = open(os.path.join(WORK, name), "w")
    fcntl.flock(f, fcntl.LOCK_EX)
    return f


def novnc():
    """Debian's files: installed, or from the package itself, whose dependencies are many. Fetched once."""
    if os.path.isdir("/usr/share/novnc/core"):
        return "/usr/share/novnc"
    out = os.path.join(TOP, "cache/novnc")
    with locked("novnc.lock"):
        if not os.path.isdir(out):
            work = out + ".part"
            shutil.rmtree(work, ignore_errors=True)
            os.makedirs(work)
            subprocess.run(["apt-get", "download", "novnc"], cwd=work, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deb = [f for f in os.listdir(work) if f.endswith(".deb")][0]
            subprocess.run(["dpkg", "-x", deb, "."], cwd=work, check=True)
            os.rename(work, out)
    return os.path.join(out, "usr/share/novnc")


def npm():
    """The packages that browser/package-lock.json names, with the sums it has of them. Fetched once."""
    program = need("npm")
    out = os.path.join(WORK, "browser")
    with locked("browser.lock"):
        for name in ("package.json", "package-lock.json"):
            with open(os.path.join(HERE, name)) as f:
                text = f.read()
            kept = os.path.join(out, name)
            if os.path.exists(kept):
                with open(kept) as f:
                    if f.read() == text:
                        continue
            shutil.rmtree(os.path.join(out, "node_modules"), ignore_errors=True)
            os.makedirs(out, exist_ok=True)
            with open(kept, "w") as f:
                f.write(text)
        if not os.path.isdir(os.path.join(out, "node_modules")):
            assert out not in FAILED, FAILED[out]
            r = subprocess.run([program, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=out, check=False,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if r.returncode:  # it tries for a minute: once
                shutil.rmtree(os.path.join(out, "node_modules"), ignore_errors=True)
                FAILED[out] = "npm could not fetch playwright-core and xterm.js:\n" + r.stderr
            assert r.returncode == 0, FAILED[out]
    return os.path.join(out, "node_modules")


def xterm():
    return os.path.join(npm(), "@xterm/xterm")


class Browser:
    def __init__(self):
        self.child = subprocess.Popen([need("node"), os.path.join(HERE, "drive.js"), chromium()],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      env={**os.environ, "NODE_PATH": npm()})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        try:
            self.child.wait(60)
        finally:
            self.child.kill()
            self.child.wait()

    def __call__(self, command, **args):
        self.child.stdin.write(json.dumps({"do": command, **args}) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, "the browser ended"
        answer = json.loads(line)
        assert "error" not in answer, answer
        return answer["ok"]
