# SPDX-License-Identifier: GPL-2.0-or-later
"""Headless Chromium, driven by Playwright (page.js), and the files of noVNC."""
import json
import os
import shutil
import subprocess

from systems import WORK

PLAYWRIGHT = "1.65.1"


def program():
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not found:
        raise FileNotFoundError("no chromium-headless-shell: apt-get install "
                                "--no-install-recommends it")
    return found


def novnc(folder):
    """Debian's files: installed, or from the package itself."""
    if os.path.isdir("/usr/share/novnc/core"):
        return "/usr/share/novnc"
    subprocess.run(["apt-get", "download", "novnc"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deb = [f for f in os.listdir(folder) if f.startswith("novnc")][0]
    subprocess.run(["dpkg", "-x", deb, "novnc"], cwd=folder, check=True)
    return os.path.join(folder, "novnc/usr/share/novnc")


def playwright():
    folder = os.path.join(WORK, "playwright")
    if not os.path.isdir(os.path.join(folder, "node_modules/playwright-core")):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", folder, "--no-save",
                        "playwright-core@" + PLAYWRIGHT], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(folder, "node_modules")


class Browser:
    def __init__(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.js")
        self.child = subprocess.Popen(["node", script, program()], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True,
                                      env={**os.environ, "NODE_PATH": playwright()})

    def __call__(self, command, **args):
        self.child.stdin.write(json.dumps({"do": command, **args}) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, "the browser ended"
        answer = json.loads(line)
        assert "error" not in answer, answer
        return answer["ok"]

    def close(self):
        self.child.stdin.close()
        self.child.wait(60)
