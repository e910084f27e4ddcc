# SPDX-License-Identifier: GPL-2.0-or-later
"""`lodge img` and qemu-img: what one writes the other one reads, and they say the same about it.

Run: make t T=images/test_img
"""
import itertools
import json
import os
import random
import shutil
import struct
import subprocess

import pytest

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
LODGE = os.environ.get("LODGE_BIN", os.path.join(TOP, "build/lodge"))
TIMEOUT = 60
SIZE = 5 * 1024 * 1024 + 512 * 3


def run(*args, code=0, **kw):
    p = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False, **kw)
    if code is not None:
        assert p.returncode == code, "%s\n%s%s" % (args, p.stdout, p.stderr)
    return p


def img(*args, **kw):
    return run(LODGE, "img", *args, **kw)


def qemu(*args, **kw):
    return run("qemu-img", *args, **kw)


def clean(path):
    qemu("check", "-f", "qcow2", path)
    img("check", path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def raw(here):
    """Mixed bytes: random, repeated, zeros, holes."""
    r = random.Random(7)
    with open("a.raw", "wb") as f:
        f.truncate(SIZE)
        for off, n, kind in ((0, 70000, "r"), (200000, 300000, "t"), (1 << 20, 1 << 20, "r"),
                             (3 << 20, 65536, "z"), (SIZE - 5000, 5000, "r")):
            f.seek(off)
            f.write(r.randbytes(n) if kind == "r" else (b"lodge img " * n)[:n] if kind == "t"
                    else bytes(n))
    return "a.raw"


QCOW2 = [
    "compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=4k", "cluster_size=2M",
    "compression_type=zstd", "extended_l2=on", "extended_l2=on,cluster_size=16k",
    "lazy_refcounts=on", "refcount_bits=1", "refcount_bits=2", "refcount_bits=4", "refcount_bits=8",
    "refcount_bits=32", "refcount_bits=64", "preallocation=metadata", "preallocation=falloc",
    "preallocation=full",
]


@pytest.mark.parametrize("packed", [[], ["-c"]], ids=["plain", "packed"])
@pytest.mark.parametrize("options", QCOW2)
def test_qcow2_when_written_by_either_expect_the_other_reads_it(raw, options, packed):
    if packed and "preallocation" in options:
        packed = []
    img("convert", *packed, "-f", "raw", "-O", "qcow2", "-o", options, raw, "l.qcow2")
    clean("l.qcow2")
    qemu("compare", "-f", "raw", "-F", "qcow2", raw, "l.qcow2")
    qemu("convert", *packed, "-f", "raw", "-O", "qcow2", "-o", options, raw, "q.qcow2")
    clean("q.qcow2")
    img("compare", raw, "q.qcow2", "-f", "raw")
    img("convert", "-f", "qcow2", "q.qcow2", "back.raw")
    run("cmp", raw, "back.raw")


@pytest.mark.parametrize("options", ["compression_type=zlib", "compression_type=zstd"])
def test_convert_when_packed_expect_no_larger_than_by_qemu(here, options):
    """Programs of this host; compressed data goes on from cluster to cluster."""
    with open("a.raw", "wb") as out:
        for name in ("qemu-img", "perl", "bash", "sort"):
            with open(shutil.which(name), "rb") as f:
                out.write(f.read(2 << 20))
        out.truncate(8 << 20)
    for how in ([], ["-W"], ["-m", "1"]):
        img("convert", "-c", *how, "-f", "raw", "-O", "qcow2", "-o", options, "a.raw", "l.qcow2")
        clean("l.qcow2")
        qemu("compare", "-f", "raw", "-F", "qcow2", "a.raw", "l.qcow2")
        qemu("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, "a.raw", "q.qcow2")
        # The tables of the empty image are still in the file, as free clusters.
        assert os.stat("l.qcow2").st_size <= os.stat("q.qcow2").st_size * 1.02 + 5 * 65536


@pytest.mark.parametrize("fmt,options", [
    ("vmdk", ""), ("vmdk", "subformat=streamOptimized"), ("vmdk", "subformat=monolithicFlat"),
    ("vmdk", "subformat=twoGbMaxExtentSparse"), ("vmdk", "subformat=twoGbMaxExtentFlat"),
    ("vpc", "subformat=dynamic,force_size=on"), ("vpc", "subformat=fixed,force_size=on"),
    ("vdi", ""), ("vdi", "static=on")])
def test_foreign_when_written_by_qemu_expect_it_read(raw, fmt, options):
    qemu("convert", "-f", "raw", "-O", fmt, *(["-o", options] if options else []), raw, "x.img")
    img("compare", "-f", "raw", "-F", fmt, raw, "x.img")
    if "fixed" not in options:
        assert json.loads(img("info", "--json", "x.img").stdout)["format"] == fmt
    img("convert", "-f", fmt, "-O", "qcow2", "x.img", "y.qcow2")
    qemu("compare", "-f", "raw", "-F", "qcow2", raw, "y.qcow2")
    p = img("create", "-f", fmt, "new.img", "1M", code=1)
    assert "only be read" in p.stderr


def same_json(verb, *args):
    a = json.loads(img(verb, "--output=json", *args).stdout)
    b = json.loads(qemu(verb, "--output=json", *args).stdout)
    for s in b.get("snapshots", []) if isinstance(b, dict) else []:
        s.pop("icount", None)
    assert a == b


def chain():
    """Three images, one on another, each with bytes of its own."""
    img("create", "-f", "qcow2", "base.qcow2", "8M")
    img("create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "mid.qcow2")
    img("create", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2", "-o", "cluster_size=4k", "top.qcow2",
        "9M")
    run("qemu-io", "-c", "write -P 1 0 3M", "-c", "write -z 3M 1M", "base.qcow2")
    run("qemu-io", "-c", "write -P 2 1M 1M", "-c", "write -z 2M 512k", "mid.qcow2")
    run("qemu-io", "-c", "write -P 3 1500k 100k", "-c", "write -z 100k 64k",
        "-c", "write -P 4 8500k 10k", "top.qcow2")


def test_json_when_compared_with_qemu_expect_the_same(here):
    chain()
    for image in ("base.qcow2", "mid.qcow2", "top.qcow2"):
        same_json("map", image)
        same_json("info", image)
        same_json("check", image)
    same_json("info", "--backing-chain", "top.qcow2")
    img("snapshot", "-c", "one", "mid.qcow2")
    same_json("info", "mid.qcow2")
    assert img("map", "top.qcow2").stdout == qemu("map", "top.qcow2").stdout


def test_snapshot_when_made_by_either_expect_the_other_uses_it(here):
    chain()
    img("snapshot", "-c", "first", "mid.qcow2")
    clean("mid.qcow2")
    run("qemu-io", "-c", "write -P 9 0 4M", "mid.qcow2")
    qemu("snapshot", "-c", "second", "mid.qcow2")
    clean("mid.qcow2")
    assert [s["name"] for s in json.loads(img("snapshot", "-l", "--json", "mid.qcow2").stdout)] == \
        ["first", "second"]
    img("convert", "-l", "first", "mid.qcow2", "first.raw")
    qemu("convert", "-l", "first", "mid.qcow2", "first_q.raw")
    run("cmp", "first.raw", "first_q.raw")
    qemu("snapshot", "-a", "first", "mid.qcow2")
    clean("mid.qcow2")
    img("compare", "mid.qcow2", "first.raw")
    img("snapshot", "-a", "second", "mid.qcow2")
    clean("mid.qcow2")
    run("qemu-io", "-c", "read -P 9 0 4M", "mid.qcow2")
    img("snapshot", "-d", "first", "mid.qcow2")
    img("snapshot", "-d", "second", "mid.qcow2")
    clean("mid.qcow2")
    assert "no snapshot" in img("snapshot", "-a", "first", "mid.qcow2", code=1).stderr


def test_snapshot_when_refcounts_are_one_bit_expect_refusal_and_clean_image(raw):
    img("convert", "-O", "qcow2", "-o", "refcount_bits=1", raw, "a.qcow2")
    assert "refcount_bits" in img("snapshot", "-c", "s", "a.qcow2", code=1).stderr
    clean("a.qcow2")
    img("compare", raw, "a.qcow2")


@pytest.mark.parametrize("onto", ["base.qcow2", ""])
def test_rebase_when_done_expect_same_bytes(here, onto):
    chain()
    img("convert", "top.qcow2", "before.raw")
    img("rebase", "-b", onto, *(["-F", "qcow2"] if onto else []), "top.qcow2")
    clean("top.qcow2")
    os.remove("mid.qcow2")
    qemu("compare", "before.raw", "top.qcow2")
    info = json.loads(qemu("info", "--output=json", "top.qcow2").stdout)
    assert info.get("backing-filename", "") == onto


def test_rebase_when_unsafe_expect_only_the_name_changed(here):
    chain()
    os.rename("mid.qcow2", "other.qcow2")
    img("rebase", "-u", "-b", "other.qcow2", "-F", "qcow2", "top.qcow2")
    clean("top.qcow2")
    assert json.loads(qemu("info", "--output=json", "top.qcow2").stdout)["backing-filename"] == "other.qcow2"


@pytest.mark.parametrize("base", [None, "base.qcow2"])
def test_commit_when_done_expect_base_holds_all(here, base):
    chain()
    img("convert", "top.qcow2", "before.raw")
    img("commit", *(["-b", base] if base else []), "top.qcow2")
    for image in ("base.qcow2", "mid.qcow2", "top.qcow2"):
        clean(image)
    qemu("compare", "before.raw", base or "mid.qcow2")
    if not base:
        qemu("compare", "before.raw", "top.qcow2")
        assert json.loads(img("check", "--json", "top.qcow2").stdout)["allocated-clusters"] == 0


def test_convert_when_backing_is_kept_expect_only_the_difference(here):
    chain()
    img("convert", "-O", "qcow2", "-B", "mid.qcow2", "-F", "qcow2", "top.qcow2", "copy.qcow2")
    clean("copy.qcow2")
    qemu("compare", "top.qcow2", "copy.qcow2")
    assert os.path.getsize("copy.qcow2") < 2 << 20


def test_convert_when_several_images_expect_one_after_the_other(raw):
    shutil.copy(raw, "b.raw")
    img("convert", "-f", "raw", raw, "b.raw", "-O", "qcow2", "ab.qcow2")
    qemu("convert", "-f", "raw", raw, "b.raw", "-O", "raw", "ab.raw")
    qemu("compare", "ab.raw", "ab.qcow2")


@pytest.mark.parametrize("flags", [["-W"], ["-S", "0"], ["-S", "64k"], ["-m", "1"], ["-t", "none"],
                                   ["-T", "none"]], ids=lambda f: "".join(f))
def test_convert_when_told_how_expect_same_bytes(raw, flags):
    for source, to in itertools.product(("raw", "qcow2"), repeat=2):
        qemu("convert", "-f", "raw", "-O", source, raw, "in.img")
        img("convert", *flags, "-f", source, "-O", to, "in.img", "out.img")
        qemu("compare", "-f", "raw", "-F", to, raw, "out.img")


def test_convert_when_target_exists_expect_zeros_written(raw):
    img("create", "-f", "qcow2", "t.qcow2", str(SIZE))
    run("qemu-io", "-c", "write -P 5 0 5M", "t.qcow2")
    img("convert", "-n", "-f", "raw", "-O", "qcow2", raw, "t.qcow2")
    clean("t.qcow2")
    qemu("compare", raw, "t.qcow2")


def test_resize_when_grown_and_shrunk_expect_zeros_in_the_new_part(here):
    chain()
    assert "--shrink" in img("resize", "top.qcow2", "1M", code=1).stderr
    img("resize", "--shrink", "top.qcow2", "1M")
    img("resize", "top.qcow2", "+7M")
    clean("top.qcow2")
    # The backing file's bytes behind the old end stay hidden.
    run("qemu-io", "-c", "read -P 0 1M 7M", "top.qcow2")


def test_check_when_leaks_and_errors_expect_exit_codes_and_repair(raw):
    img("convert", "-O", "qcow2", raw, "a.qcow2")
    end = (os.path.getsize("a.qcow2") + 65535) // 65536
    with open("a.qcow2", "r+b") as f:
        f.truncate((end + 1) * 65536)
        f.seek(48)
        table = struct.unpack(">Q", f.read(8))[0]
        f.seek(table)
        block = struct.unpack(">Q", f.read(8))[0]
        f.seek(block + 2 * end)
        f.write(struct.pack(">H", 1))
    for tool in (img, qemu):
        tool("check", "a.qcow2", code=3)
    img("check", "-r", "leaks", "a.qcow2")
    qemu("check", "a.qcow2")
    with open("a.qcow2", "r+b") as f:
        f.seek(48)
        table = struct.unpack(">Q", f.read(8))[0]
        f.seek(table)
        block = struct.unpack(">Q", f.read(8))[0]
        f.seek(block + 2 * 12)
        f.write(struct.pack(">H", 0))
    for tool in (img, qemu):
        tool("check", "a.qcow2", code=2)
    img("check", "-r", "all", "a.qcow2")
    clean("a.qcow2")
    qemu("compare", raw, "a.qcow2")


def test_open_when_dirty_expect_repair(raw):
    """QEMU with lazy refcounts, killed: the refcounts on the disk are wrong."""
    img("convert", "-O", "qcow2", "-o", "lazy_refcounts=on", raw, "a.qcow2")
    run("qemu-io", "-c", "write -P 7 4M 512k", "-c", "flush", "-c", "sigraise 9", "a.qcow2", code=None)
    assert json.loads(img("info", "--json", "a.qcow2").stdout)["dirty-flag"]
    img("snapshot", "-c", "x", "a.qcow2")
    clean("a.qcow2")
    run("qemu-io", "-r", "-c", "read -P 7 4M 512k", "a.qcow2")


def test_open_when_marked_corrupt_expect_read_only(raw):
    img("convert", "-O", "qcow2", raw, "a.qcow2")
    with open("a.qcow2", "r+b") as f:
        f.seek(79)
        f.write(b"\2")
    img("compare", raw, "a.qcow2")
    assert "damaged" in img("resize", "a.qcow2", "+1M", code=1).stderr
    img("check", "-r", "all", "a.qcow2")
    img("resize", "a.qcow2", "+1M")


@pytest.mark.parametrize("at,value,word", [
    (79, b"\x20", "number 5"), (78, b"\x01", "number 8"), (35, b"\1", "encrypted"), (79, b"\4", "external data file"),
    (7, b"\x09", "version 9"), (99, b"\x09", "reference counts")])
def test_open_when_feature_is_unknown_expect_its_name(raw, at, value, word):
    img("convert", "-O", "qcow2", raw, "a.qcow2")
    with open("a.qcow2", "r+b") as f:
        f.seek(at)
        f.write(value)
    assert word in img("info", "-f", "qcow2", "a.qcow2", code=1).stderr


def test_open_when_backing_files_form_a_circle_expect_refusal(here):
    img("create", "-f", "qcow2", "a.qcow2", "1M")
    img("create", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "b.qcow2")
    img("rebase", "-u", "-b", "b.qcow2", "-F", "qcow2", "a.qcow2")
    assert "circle" in img("compare", "a.qcow2", "b.qcow2", code=2).stderr
    img("rebase", "-u", "-b", "nbd://host/x", "-F", "raw", "a.qcow2")
    assert "plain file" in img("map", "a.qcow2", code=1).stderr


def test_info_when_qemu_io_writes_expect_lock_honoured(raw):
    img("convert", "-O", "qcow2", raw, "a.qcow2")
    p = subprocess.Popen(["qemu-io", "a.qcow2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        p.stdin.write(b"read 0 512\n")
        p.stdin.flush()
        p.stdout.readline()
        img("info", "a.qcow2", code=1)
        img("info", "-U", "a.qcow2")
    finally:
        p.stdin.close()
        p.wait(timeout=TIMEOUT)


@pytest.mark.parametrize("args,word", [
    (("create", "x.qcow2"), "size"), (("create", "-f", "nope", "x", "1M"), "no format"),
    (("create", "-f", "qcow2", "-o", "nocow=on", "x", "1M"), "nocow"),
    (("create", "-f", "qcow2", "-o", "cluster_size=3000", "x", "1M"), "power of two"),
    (("create", "-f", "qcow2", "-o", "cluster_size=512", "x", "1T"), "larger clusters"),
    (("create", "-f", "qcow2", "-b", "nothere", "-F", "raw", "x"), "No such file"),
    (("create", "-f", "qcow2", "-b", "a.raw", "x"), "-F"),
    (("create", "x", "1Q"), "not a size"), (("convert", "a.raw", "a.raw"), "while it is read"),
    (("convert", "-c", "a.raw", "b.raw"), "compress"), (("frob",), "no verb"), (("info",), "name"),
    (("info", "--backing", "-Z", "a.raw"), "no option"), (("check", "-r", "some", "a.raw"), "-r"),
    (("convert", "-t", "fast", "a.raw", "b"), "cache"), (("resize", "a.raw", "+1M"), "guessed")])
def test_verb_when_asked_for_nonsense_expect_a_sentence(raw, args, word):
    assert word in img(*args, code=1).stderr
