# SPDX-License-Identifier: GPL-2.0-or-later
"""The page in a browser: headless Chromium, driven by Playwright, looks at GRUB and types to it.

Wants Debian's chromium-headless-shell (or chromium), nodejs, npm and novnc (--no-install-recommends); Playwright's
own package comes by npm, once. Run: make t T=systems/web
"""
import json
import os
import re
import shutil
import subprocess
import time

import pytest
from systems import TOP, WORK
from qmp import Qmp, lodge, wait_for
from vm import LODGE, kernel

PLAYWRIGHT = "1.65.1"
WAIT = 120


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    d = tmp_path / "run"
    d.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(d))
    return d


def chromium():
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not found:
        pytest.skip("no chromium-headless-shell: apt-get install --no-install-recommends it")
    return found


def novnc(tmp_path):
    """Debian's files: installed, or from the package itself."""
    if os.path.isdir("/usr/share/novnc/core"):
        return "/usr/share/novnc"
    subprocess.run(["apt-get", "download", "novnc"], cwd=tmp_path, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deb = [f for f in os.listdir(tmp_path) if f.startswith("novnc")][0]
    subprocess.run(["dpkg", "-x", deb, "novnc"], cwd=tmp_path, check=True)
    return str(tmp_path / "novnc/usr/share/novnc")


def playwright():
    folder = os.path.join(WORK, "playwright")
    if not os.path.isdir(os.path.join(folder, "node_modules/playwright-core")):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", folder, "--no-save",
                        "playwright-core@" + PLAYWRIGHT], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(folder, "node_modules")


class Browser:
    def __init__(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "web.js")
        self.child = subprocess.Popen(["node", script, chromium()], stdin=subprocess.PIPE,
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


def wait_text(text):
    lodge("wait", "m", "--text", text, "--timeout", str(WAIT), timeout=WAIT + 60)


def test_page_when_a_browser_opens_it_expect_screen_keys_text_picture_and_buttons(tmp_path):
    log = tmp_path / "log"
    with open(log, "w") as f:
        vm = subprocess.Popen([*LODGE, "-name", "m", "-nic", "none", "-m", "64M", "-cdrom",
                               kernel("grub-cd"), "-display",
                               "web=127.0.0.1:0,novnc=" + novnc(tmp_path)],
                              stdin=subprocess.DEVNULL, stdout=f, stderr=f)
    b = Browser()
    try:
        wait_for("m").close()
        wait_text("Press enter to boot")
        url = re.search(r"http://\S+", log.read_text())[0]
        opened = b("open", url=url)
        assert opened["title"] == "m" and "token" not in opened["url"]
        print("usable after %d ms" % opened["ms"])
        assert opened["ms"] < 10000
        assert b("status", url=url) == 403  # another browser
        # Keys, and text with Shift.
        b("keys", keys=["c"])
        wait_text("grub>")
        b("text", text="echo Hello_World! 'a|b~'\n")
        wait_text("Hello_World! a|b~")
        b("keys", keys=["A", "Backspace", "x", "Control+u"])
        # What the browser shows is what the machine shows.
        time.sleep(2)
        b("shot", path=str(tmp_path / "page.png"))
        lodge("wait", "m", "--picture", str(tmp_path / "page.png"), "--timeout", "60")
        b("picture", path=str(tmp_path / "whole.png"))
        # Buttons.
        q = Qmp(wait_for("m"))
        b("click", id="power")
        q.event("POWERDOWN")
        b("dialogs")
        b("click", id="reset")
        q.event("RESET")
        wait_text("Press enter to boot")
        b("click", id="cad")
        assert b("errors") == []
    finally:
        b.close()
        vm.terminate()
        vm.wait(60)
