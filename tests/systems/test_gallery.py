# SPDX-License-Identifier: GPL-2.0-or-later
"""Each scene of docs/gallery again: its commands, and pictures that are like those kept there.

Run: make t T=systems/gallery
"""
import os
import sys

import pytest

from systems import TOP
import picture

sys.path.insert(0, os.path.join(TOP, "tools"))
import gallery  # noqa: E402


def kept(name):
    return picture.read(os.path.join(gallery.GALLERY, name))


@pytest.mark.parametrize("name", gallery.SCENES)
def test_scene_when_played_again_expect_the_pictures_kept(name, tmp_path):
    gallery.play(name, str(tmp_path))
    scene = gallery.SCENES[name]
    for p in scene.pictures():
        differs = picture.alike(picture.read(str(tmp_path / p)), kept(p), scene.boxes.get(p))
        assert differs is None, "%s: %s" % (p, differs)


def test_compare_when_pictures_are_of_other_moments_expect_that_it_tells():
    """Each picture against all others, in its own boxes; those of two adapters show the same."""
    plain = lambda name: name.replace("-virtio", "")  # noqa: E731
    boxes = {p: s.boxes.get(p) for s in gallery.SCENES.values() for p in s.pictures()}
    pictures = {p: kept(p) for p, b in boxes.items() if b != []}
    for p, a in pictures.items():
        assert picture.alike(a, a, boxes[p]) is None
        assert {plain(q) for q, b in pictures.items()
                if picture.alike(b, a, boxes[p]) is None} == {plain(p)}


def test_compare_when_a_picture_has_moved_by_a_few_dots_expect_that_it_tells():
    for s in gallery.SCENES.values():
        for p in s.pictures():
            a = kept(p)
            moved = picture.Picture([row[9:] + row[:9] for row in a.rows])
            assert s.boxes.get(p) == [] or picture.alike(moved, a, s.boxes.get(p)), p


def test_page_expect_the_commands_of_the_scenes():
    with open(os.path.join(gallery.GALLERY, "README.md"), encoding="utf-8") as f:
        assert f.read() == gallery.readme(), "tools/gallery.py --readme writes it anew"
