// SPDX-License-Identifier: GPL-2.0-or-later
/* What the machine's display adapter shows. Threads: any, without the VM lock. */
#include <errno.h>

#include "display/letters.h"
#include "display/source.h"
#include "machine/vm_int.h"

static const struct display_source *source(struct vm *vm, struct lodge_err *err)
{
	const struct display_source *s = board_display(vm->board);

	if (!s)
		err_set(err, -ENODEV, "the machine has no display adapter; -vga std adds one");
	return s;
}

int vm_screen_draw(struct vm *vm, struct display_picture *pic, struct lodge_err *err)
{
	return vm_screen_draw_lines(vm, pic, DISPLAY_ALL_LINES, err);
}

int vm_screen_draw_lines(struct vm *vm, struct display_picture *pic, struct display_lines lines,
			 struct lodge_err *err)
{
	const struct display_source *s = source(vm, err);
	struct display_cursor cursor;
	bool has_cursor;
	int r;

	if (!s)
		return -ENODEV;
	pthread_mutex_lock(&vm->lock);
	vm_drain_locked(vm);
	if (s->draw_lines) {
		r = s->draw_lines(s->opaque, pic, &lines);
	} else {
		r = s->draw(s->opaque, pic);
		lines = DISPLAY_ALL_LINES;
	}
	has_cursor = !r && s->cursor && s->cursor(s->opaque, &cursor);
	pthread_mutex_unlock(&vm->lock);
	if (has_cursor)
		display_cursor_lay(&cursor, pic, lines);
	return r ? err_set(err, r, "no memory for a picture of the screen") : 0;
}

int vm_screen_text(struct vm *vm, struct display_text *text, struct lodge_err *err)
{
	const struct display_source *s = source(vm, err);
	struct display_picture pic = {0};
	const uint8_t *font;
	int r = -ENODATA;

	if (!s)
		return -ENODEV;
	pthread_mutex_lock(&vm->lock);
	vm_drain_locked(vm);
	if (s->text)
		r = s->text(s->opaque, text);
	/* A console in a frame buffer: its letters are read from the picture. */
	font = r == -ENODATA ? board_font(vm->board) : NULL;
	if (font)
		r = s->draw(s->opaque, &pic);
	pthread_mutex_unlock(&vm->lock);
	if (font && !r)
		r = display_letters(&pic, font, text);
	display_picture_free(&pic);
	return r ? err_set(err, r, "the screen shows no text, but a picture") : 0;
}

struct display_lines vm_screen_changed(struct vm *vm)
{
	const struct display_source *s = board_display(vm->board);
	struct display_lines lines;

	if (!s)
		return DISPLAY_NO_LINES;
	pthread_mutex_lock(&vm->lock);
	vm_drain_locked(vm);
	pthread_mutex_unlock(&vm->lock);
	s->look(s->opaque);
	pthread_mutex_lock(&vm->lock);
	lines = s->changed(s->opaque);
	pthread_mutex_unlock(&vm->lock);
	return lines;
}

bool vm_screen_resizes(struct vm *vm)
{
	const struct display_source *s = board_display(vm->board);

	return s && s->resize;
}

int vm_screen_resize(struct vm *vm, uint32_t width, uint32_t height, struct lodge_err *err)
{
	const struct display_source *s = source(vm, err);

	if (!s)
		return -ENODEV;
	if (!s->resize)
		return err_set(
			err, -ENOTSUP,
			"the machine's display adapter cannot tell the guest of another size; "
			"-vga virtio can");
	pthread_mutex_lock(&vm->lock);
	s->resize(s->opaque, width, height);
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

int vm_screenshot(struct vm *vm, const char *path, struct lodge_err *err)
{
	struct display_picture pic = {0};
	int r = vm_screen_draw(vm, &pic, err);

	if (!r)
		r = display_picture_save(&pic, path, DISPLAY_BY_NAME, err);
	display_picture_free(&pic);
	return r;
}
