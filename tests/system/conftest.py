# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of several of the tests beside this file."""
import pytest


@pytest.fixture
def runtime_dir(tmp_path, monkeypatch):
    """A folder for control sockets that is the test's own: pytestmark = pytest.mark.usefixtures("runtime_dir")."""
    d = tmp_path / "run"
    d.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(d))
    return d
