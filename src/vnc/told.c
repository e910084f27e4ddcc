// SPDX-License-Identifier: GPL-2.0-or-later
/* What viewers and the window say. See told.h. Source: RFC 6143 §7.5.4, §7.5.5. Threads: the owner's. */
#include "vnc/told.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/range.h"
#include "input/layout.h"

#define MOVE_MAX ((int32_t)DISPLAY_SIZE_MAX)

static void send_one(const struct vnc_screen *screen, struct input_event ev)
{
	screen->input(screen->opaque, &ev, 1);
}

/* A key is down while any viewer holds it. */
static void hold(struct vnc_told *t, unsigned slot, enum input_key key, bool down,
		 const struct vnc_screen *screen)
{
	uint8_t *byte = &t->held[slot].key[key / 8], bit = (uint8_t)(1u << key % 8);
	bool was = *byte & bit;

	if (down && !was)
		t->count[key]++;
	else if (!down && was)
		t->count[key]--;
	else if (!down)
		return;
	*byte = (uint8_t)(down ? *byte | bit : *byte & ~bit);
	/* Going down again is a repetition. */
	if (down || !t->count[key])
		send_one(screen, (struct input_event){.kind = INPUT_KEY,
						      .code = (uint16_t)key,
						      .down = down});
}

static int32_t scaled(int32_t at, uint32_t dots)
{
	int64_t most = dots > 1 ? (int64_t)dots - 1 : 1;
	int64_t in = at < 0 ? 0 : at > most ? most : at;

	return (int32_t)((in * INPUT_ABS_MAX + most / 2) / most);
}

static void press(struct vnc_told *t, unsigned slot, uint8_t buttons,
		  const struct vnc_screen *screen)
{
	static const uint16_t code[8] = {INPUT_LEFT,	    INPUT_MIDDLE,     INPUT_RIGHT,
					 INPUT_WHEEL_UP,    INPUT_WHEEL_DOWN, INPUT_WHEEL_LEFT,
					 INPUT_WHEEL_RIGHT, INPUT_SIDE};
	uint8_t diff = t->held[slot].buttons ^ buttons;

	t->held[slot].buttons = buttons;
	for (unsigned i = 0; i < 8; i++) {
		if (diff >> i & 1)
			send_one(screen, (struct input_event){.kind = INPUT_BUTTON,
							      .code = code[i],
							      .down = buttons >> i & 1});
	}
}

static void point(struct vnc_told *t, const struct vnc_msg *m, const struct vnc_screen *screen)
{
	const struct input_event at[2] = {
		{.kind = INPUT_ABS, .code = INPUT_X, .value = scaled(m->x, t->width)},
		{.kind = INPUT_ABS, .code = INPUT_Y, .value = scaled(m->y, t->height)},
	};

	screen->input(screen->opaque, at, 2);
	press(t, m->slot, (uint8_t)m->value, screen);
}

/* More than any screen has is as far. */
static int32_t bounded(int32_t dots)
{
	return dots < -MOVE_MAX ? -MOVE_MAX : dots > MOVE_MAX ? MOVE_MAX : dots;
}

/* ---- Shift and AltGr for those who do not send them --------------------------------------------- */

static void set_mods(struct vnc_told *t, unsigned slot, unsigned mods, bool down,
		     const struct vnc_screen *screen)
{
	if (mods & INPUT_SHIFT)
		hold(t, slot, INPUT_KEY_shift, down, screen);
	if (mods & INPUT_ALTGR)
		hold(t, slot, INPUT_KEY_alt_r, down, screen);
}

static void take_back(struct vnc_told *t, const struct vnc_screen *screen)
{
	unsigned mods = t->lent.mods;

	t->lent.mods = 0;
	set_mods(t, t->lent.slot, mods, false, screen);
}

/* What nobody holds of what the key needs to write what the viewer says. */
static unsigned missing(const struct vnc_told *t, const struct input_stroke *s)
{
	const uint8_t *n = t->count;
	bool ctrl = n[INPUT_KEY_ctrl] || n[INPUT_KEY_ctrl_r];
	bool command = ctrl || n[INPUT_KEY_alt] || n[INPUT_KEY_meta_l] || n[INPUT_KEY_meta_r];
	unsigned mods = s->held & (INPUT_SHIFT | INPUT_ALTGR);

	if (s->held & INPUT_CAPS) {
		command |= n[INPUT_KEY_alt_r] && !(mods & INPUT_ALTGR);
		/* Ctrl with C is the same key for most viewers, whichever form they send. */
		mods = command ? mods & ~INPUT_SHIFT : t->caps ? mods ^ INPUT_SHIFT : mods;
	}
	if (n[INPUT_KEY_shift] || n[INPUT_KEY_shift_r])
		mods &= ~INPUT_SHIFT;
	/* Windows has Ctrl and Alt for AltGr. */
	if (n[INPUT_KEY_alt_r] || (ctrl && n[INPUT_KEY_alt]))
		mods &= ~INPUT_ALTGR;
	return mods;
}

static void lend(struct vnc_told *t, unsigned slot, const struct input_stroke *s,
		 const struct vnc_screen *screen)
{
	unsigned mods;

	if (t->lent.mods && t->lent.slot == slot) {
		if (t->lent.key == s->key)
			return; /* a repetition */
		/* Now the viewer holds it itself. */
		if (s->key == INPUT_KEY_shift)
			t->lent.mods &= (uint8_t)~INPUT_SHIFT;
		if (s->key == INPUT_KEY_alt_r)
			t->lent.mods &= (uint8_t)~INPUT_ALTGR;
	}
	take_back(t, screen);
	mods = missing(t, s);
	set_mods(t, slot, mods, true, screen);
	t->lent.mods = (uint8_t)mods;
	t->lent.slot = (uint8_t)slot;
	t->lent.key = (uint16_t)s->key;
}

static void let_go(struct vnc_told *t, unsigned slot, const struct vnc_screen *screen)
{
	if (t->lent.slot == slot)
		t->lent.mods = 0; /* it goes with the rest */
	for (unsigned k = 1; k < INPUT_KEYS; k++) {
		if (t->held[slot].key[k / 8] >> k % 8 & 1)
			hold(t, slot, (enum input_key)k, false, screen);
	}
	press(t, slot, 0, screen);
}

/* Of the descriptors that a viewer could hand over, a stream socket of this host alone is one. */
static bool is_line(int fd)
{
	int domain = 0, type = 0;
	socklen_t dl = sizeof(domain), tl = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &dl) && domain == AF_UNIX &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &tl) && type == SOCK_STREAM;
}

ssize_t vnc_told_receive(int sock, struct vnc_msg *m, int *fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	/* Room for one: the kernel closes what is more. CMSG_SPACE would be room for two. */
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = CMSG_LEN(sizeof(int))};
	ssize_t n = recvmsg(sock, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;
	int got;

	*fd = -1;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(got)))
		return n;
	memcpy(&got, CMSG_DATA(c), sizeof(got));
	if (n == (ssize_t)sizeof(*m) && m->kind == VNC_CONSOLE && is_line(got))
		*fd = got;
	else
		close(got);
	return n;
}

static void move(struct vnc_told *t, const struct vnc_msg *m, const struct vnc_screen *screen)
{
	const struct input_event by[2] = {
		{.kind = INPUT_REL, .code = INPUT_X, .value = bounded(m->x)},
		{.kind = INPUT_REL, .code = INPUT_Y, .value = bounded(m->y)},
	};

	if (m->x || m->y)
		screen->input(screen->opaque, by, 2);
	press(t, m->slot, (uint8_t)m->value, screen);
}

/* What only the window says. */
static bool window_message(struct vnc_told *t, const struct vnc_msg *m,
			   const struct vnc_screen *screen)
{
	switch (m->kind) {
	case VNC_MOVE:
		move(t, m, screen);
		return true;
	case VNC_LOOK:
		t->window_looks = m->value == 1;
		return true;
	case VNC_QUIT:
		screen->quit(screen->opaque);
		return true;
	default:
		return false;
	}
}

static void power(const struct vnc_msg *m, const struct vnc_screen *screen)
{
	if (m->value == VNC_POWER_DOWN)
		screen->power_button(screen->opaque);
	else if (m->value == VNC_POWER_RESET)
		screen->reset(screen->opaque);
}

/* As QEMU does it: where a layout was named, it is the viewer's, and what a key writes counts. */
static struct input_stroke key_of(const struct vnc_msg *m, const struct vnc_screen *screen)
{
	struct input_stroke s = {.key = INPUT_KEY_unmapped};

	if (m->kind == VNC_KEY)
		return input_layout_key(screen->layout, m->value);
	if (screen->layout && m->x)
		s = input_layout_key(screen->layout, (uint32_t)m->x);
	if (!s.key && m->value < INPUT_KEYS)
		s.key = (enum input_key)m->value;
	return s;
}

static void on_key(struct vnc_told *t, const struct vnc_msg *m, const struct vnc_screen *screen)
{
	struct input_stroke s = key_of(m, screen);

	if (!s.key)
		return;
	if (m->down) {
		lend(t, m->slot, &s, screen);
		if (s.key == INPUT_KEY_caps_lock && !t->count[s.key])
			t->caps = !t->caps;
	}
	hold(t, m->slot, s.key, m->down != 0, screen);
	if (!m->down && t->lent.slot == m->slot && t->lent.key == s.key)
		take_back(t, screen);
}

bool vnc_told_message(struct vnc_told *t, const void *bytes, size_t len, bool window,
		      const struct vnc_screen *screen)
{
	struct vnc_msg m;

	if (len != sizeof(m))
		return false;
	memcpy(&m, bytes, sizeof(m));
	if (window)
		m.slot = VNC_SLOT_WINDOW;
	else if (m.slot >= VNC_VIEWERS_MAX)
		return false;
	switch (m.kind) {
	case VNC_LOOKERS:
		if (window)
			return false;
		t->lookers = (uint32_t)min_u64(m.value, VNC_VIEWERS_MAX);
		return true;
	case VNC_KEY:
	case VNC_CODE:
		on_key(t, &m, screen);
		return true;
	case VNC_POINTER:
		point(t, &m, screen);
		return true;
	case VNC_POWER:
		power(&m, screen);
		return true;
	case VNC_SIZE:
		if (!screen->resize || m.x < 1 || m.y < 1 || m.x > (int32_t)DISPLAY_SIZE_MAX ||
		    m.y > (int32_t)DISPLAY_SIZE_MAX)
			return false;
		screen->resize(screen->opaque, (uint32_t)m.x, (uint32_t)m.y);
		return true;
	case VNC_GONE:
		let_go(t, m.slot, screen);
		return true;
	default:
		return window && window_message(t, &m, screen);
	}
}

void vnc_told_gone(struct vnc_told *t, bool window, const struct vnc_screen *screen)
{
	if (window) {
		let_go(t, VNC_SLOT_WINDOW, screen);
		t->window_looks = false;
		return;
	}
	for (unsigned i = 0; i < VNC_VIEWERS_MAX; i++)
		let_go(t, i, screen);
	t->lookers = 0;
}

bool vnc_told_looked_at(const struct vnc_told *t)
{
	return t->lookers || t->window_looks;
}
