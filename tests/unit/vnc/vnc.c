// SPDX-License-Identifier: GPL-2.0-or-later
/* Viewers and the window: shared pictures, what they say, scaling, requests, addresses. Run: make t T=vnc/vnc */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "input/layout.h"
#include "vnc/addr.h"
#include "vnc/frame.h"
#include "vnc/scale.h"
#include "vnc/told.h"
#include "vnc/vencrypt.h"

/* ---- Pictures ----------------------------------------------------------------------------------- */

static struct vnc_shared *shared;
static uint8_t *pixels;
static struct display_picture pic;
static struct {
	uint32_t x1, y1, x2, y2;
} rect[64];
static unsigned rects;

static int setup(void **state)
{
	shared = mmap(NULL, VNC_SHARED_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared == MAP_FAILED || display_picture_size(&pic, 200, 50))
		return -1;
	memset(pic.px, 0x11, 200 * 50 * 4);
	pixels = (uint8_t *)shared + VNC_PIXELS;
	return 0;
}

static int teardown(void **state)
{
	munmap(shared, VNC_SHARED_BYTES);
	display_picture_free(&pic);
	return 0;
}

static void note(void *opaque, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2)
{
	assert_true(rects < 64);
	rect[rects].x1 = x1;
	rect[rects].y1 = y1;
	rect[rects].x2 = x2;
	rect[rects++].y2 = y2;
}

static void changes(struct vnc_seen *seen)
{
	rects = 0;
	vnc_frame_size(shared, &seen->width, &seen->height);
	vnc_frame_changes(shared, seen, note, NULL);
}

static void picture_when_new_expect_all_of_it(void **state)
{
	struct vnc_seen seen = {0};

	assert_true(vnc_frame_put(shared, pixels, &pic, DISPLAY_NO_LINES));
	changes(&seen);
	assert_int_equal(seen.width, 200);
	assert_int_equal(seen.height, 50);
	assert_int_equal(rects, 4);
	assert_int_equal(rect[3].y2, 50);
	assert_int_equal(rect[0].x2, 200);
	assert_memory_equal(pixels, pic.px, 200 * 50 * 4);
	assert_false(vnc_frame_put(shared, pixels, &pic, DISPLAY_ALL_LINES));
	changes(&seen);
	assert_int_equal(rects, 0);
}

static void picture_when_dots_change_expect_their_tiles_joined(void **state)
{
	struct vnc_seen seen = {0}, late = {0};

	assert_true(vnc_frame_put(shared, pixels, &pic, DISPLAY_ALL_LINES));
	changes(&seen);
	late = seen;
	display_picture_line(&pic, 20)[70] = 1;
	display_picture_line(&pic, 21)[130] = 1;
	assert_true(vnc_frame_put(shared, pixels, &pic, (struct display_lines){20, 21}));
	changes(&seen);
	assert_int_equal(rects, 1);
	assert_int_equal(rect[0].x1, 64);
	assert_int_equal(rect[0].x2, 192);
	assert_int_equal(rect[0].y1, 16);
	assert_int_equal(rect[0].y2, 32);
	display_picture_line(&pic, 49)[199] = 1;
	/* Elsewhere nothing is looked at. */
	assert_false(vnc_frame_put(shared, pixels, &pic, (struct display_lines){0, 10}));
	assert_true(vnc_frame_put(shared, pixels, &pic, DISPLAY_ALL_LINES));
	/* One that has not looked for a while sees both. */
	changes(&late);
	assert_int_equal(rects, 2);
	assert_int_equal(rect[1].x1, 192);
	assert_int_equal(rect[1].x2, 200);
}

static void memory_when_its_size_is_absurd_expect_another(void **state)
{
	uint32_t w, h;

	atomic_store(&shared->size, ~0ull);
	vnc_frame_size(shared, &w, &h);
	assert_int_equal(w, 640);
	assert_int_equal(h, 480);
}

/* ---- What viewers say --------------------------------------------------------------------------- */

static struct input_event got[512];
static unsigned n_got, powers, resets, quits;
static struct vnc_told told;

static void input(void *opaque, const struct input_event *ev, unsigned n)
{
	while (n--)
		got[n_got++] = *ev++;
}

static void power(void *opaque)
{
	powers++;
}

static void reset(void *opaque)
{
	resets++;
}

static void quit(void *opaque)
{
	quits++;
}

static uint32_t wished[2];

static void resize(void *opaque, uint32_t width, uint32_t height)
{
	wished[0] = width;
	wished[1] = height;
}

static struct vnc_screen screen = {.input = input,
				   .power_button = power,
				   .reset = reset,
				   .resize = resize,
				   .quit = quit};

static bool say(struct vnc_msg m)
{
	n_got = 0;
	return vnc_told_message(&told, &m, sizeof(m), false, &screen);
}

static bool window_says(struct vnc_msg m)
{
	n_got = 0;
	return vnc_told_message(&told, &m, sizeof(m), true, &screen);
}

static int clear(void **state)
{
	memset(&told, 0, sizeof(told));
	told.width = 801;
	told.height = 601;
	powers = resets = quits = 0;
	return 0;
}

static void key_when_two_hold_it_expect_it_up_with_the_last(void **state)
{
	assert_true(say((struct vnc_msg){.kind = VNC_KEY, .slot = 1, .value = 'a', .down = 1}));
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0].code, INPUT_KEY_a);
	say((struct vnc_msg){.kind = VNC_KEY, .slot = 2, .value = 'a', .down = 1});
	assert_int_equal(n_got, 1); /* a repetition */
	say((struct vnc_msg){.kind = VNC_KEY, .slot = 1, .value = 'a'});
	assert_int_equal(n_got, 0);
	say((struct vnc_msg){.kind = VNC_KEY, .slot = 1, .value = 'a'});
	assert_int_equal(n_got, 0);
	say((struct vnc_msg){.kind = VNC_GONE, .slot = 2});
	assert_int_equal(n_got, 1);
	assert_false(got[0].down);
}

/* ---- Shift and AltGr, lent ---------------------------------------------------------------------- */

/* Keys that went down (+) and up (-), by name. */
static const char *went(void)
{
	static char text[256];
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < n_got && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%c%s", i ? " " : "",
				       got[i].down ? '+' : '-',
				       input_key_name((enum input_key)got[i].code));
	return text;
}

static const char *key_of_viewer(uint8_t slot, uint32_t sym, bool down)
{
	assert_true(say((struct vnc_msg){.kind = VNC_KEY, .slot = slot, .value = sym, .down = down}));
	return went();
}

static const char *down(uint32_t sym)
{
	return key_of_viewer(0, sym, true);
}

static const char *up(uint32_t sym)
{
	return key_of_viewer(0, sym, false);
}

#define SHIFT_L 0xffe1
#define CTRL_L 0xffe3
#define CAPS_LOCK 0xffe5
#define ALT_L 0xffe9
#define ALT_R 0xffea

static void symbol_when_shift_is_not_held_expect_it_lent_while_the_key_is_down(void **state)
{
	assert_string_equal(down('$'), "+shift +4");
	assert_string_equal(down('$'), "+4"); /* a repetition */
	assert_string_equal(up('$'), "-4 -shift");
	assert_string_equal(down('4'), "+4");
	assert_string_equal(up('4'), "-4");
	assert_string_equal(down('A'), "+shift +a");
	/* The next key has it no more, nor does another viewer's. */
	assert_string_equal(down('b'), "-shift +b");
	assert_string_equal(up('A'), "-a");
	assert_string_equal(up('b'), "-b");
	assert_string_equal(down('!'), "+shift +1");
	assert_string_equal(key_of_viewer(3, 'x', true), "-shift +x");
	assert_string_equal(up('!'), "-1");
	assert_string_equal(key_of_viewer(3, 'x', false), "-x");
	assert_string_equal(down('!'), "+shift +1");
	say((struct vnc_msg){.kind = VNC_GONE});
	assert_string_equal(went(), "-shift -1");
	assert_string_equal(up('!'), "");
}

static void symbol_when_shift_is_held_expect_nothing_more(void **state)
{
	assert_string_equal(down(SHIFT_L), "+shift");
	assert_string_equal(down('$'), "+4");
	assert_string_equal(up('$'), "-4");
	/* Whatever the viewer's keyboard writes with it. */
	assert_string_equal(down('1'), "+1");
	assert_string_equal(up('1'), "-1");
	assert_string_equal(key_of_viewer(2, '%', true), "+5"); /* by another viewer */
	assert_string_equal(key_of_viewer(2, '%', false), "-5");
	assert_string_equal(up(SHIFT_L), "-shift");
	/* It comes after the key: it stays for as long as it is held. */
	assert_string_equal(down('$'), "+shift +4");
	assert_string_equal(down(SHIFT_L), "+shift");
	assert_string_equal(up('$'), "-4");
	assert_string_equal(down('%'), "+5");
	assert_string_equal(up(SHIFT_L), "-shift");
	assert_string_equal(up('%'), "-5");
}

static void letter_when_caps_lock_is_on_expect_no_shift(void **state)
{
	down(CAPS_LOCK);
	assert_string_equal(down(CAPS_LOCK), "+caps_lock"); /* held: a repetition */
	up(CAPS_LOCK);
	assert_string_equal(down('A'), "+a");
	up('A');
	assert_string_equal(down('a'), "+shift +a");
	assert_string_equal(up('a'), "-a -shift");
	assert_string_equal(down('$'), "+shift +4");
	up('$');
	down(CAPS_LOCK);
	up(CAPS_LOCK);
	assert_string_equal(down('a'), "+a");
	up('a');
}

static void letter_when_ctrl_or_alt_is_held_expect_no_shift_but_for_signs(void **state)
{
	static const uint32_t with[] = {CTRL_L, ALT_L, ALT_R};

	for (unsigned i = 0; i < 3; i++) {
		down(with[i]);
		assert_string_equal(down('C'), "+c");
		up('C');
		assert_string_equal(down('+'), "+shift +equal");
		up('+');
		up(with[i]);
	}
}

static void symbol_when_altgr_is_not_held_expect_it_lent(void **state)
{
	struct lodge_err err = {""};
	struct input_layout *l = input_layout_new("de", &err);

	assert_non_null(l);
	screen.layout = l;
	assert_string_equal(down('@'), "+alt_r +q");
	assert_string_equal(up('@'), "-q -alt_r");
	assert_string_equal(down('!'), "+shift +1");
	assert_string_equal(down('{'), "-shift +alt_r +7");
	assert_string_equal(up('{'), "-7 -alt_r");
	assert_string_equal(up('!'), "-1");
	down(0xfe03);
	assert_string_equal(down('@'), "+q");
	up('@');
	assert_string_equal(up(0xfe03), "-alt_r");
	/* As Windows has it. */
	down(CTRL_L);
	down(ALT_L);
	assert_string_equal(down('@'), "+q");
	up('@');
	up(CTRL_L);
	up(ALT_L);
	/* QEMU's message, by a viewer whose @ is at another place. */
	say((struct vnc_msg){.kind = VNC_CODE, .value = INPUT_KEY_2, .x = '@', .down = 1});
	assert_string_equal(went(), "+alt_r +q");
	say((struct vnc_msg){.kind = VNC_CODE, .value = INPUT_KEY_2, .x = '@'});
	assert_string_equal(went(), "-q -alt_r");
	screen.layout = NULL;
	/* Without a layout, the key alone. */
	say((struct vnc_msg){.kind = VNC_CODE, .value = INPUT_KEY_2, .x = '@', .down = 1});
	assert_string_equal(went(), "+2");
	input_layout_free(l);
}

static void pointer_when_it_moves_and_clicks_expect_positions_and_buttons(void **state)
{
	say((struct vnc_msg){.kind = VNC_POINTER, .value = 5, .x = 400, .y = 600});
	assert_int_equal(n_got, 4);
	assert_int_equal(got[0].value, (INPUT_ABS_MAX + 1) / 2);
	assert_int_equal(got[1].value, INPUT_ABS_MAX);
	assert_int_equal(got[2].code, INPUT_LEFT);
	assert_int_equal(got[3].code, INPUT_RIGHT);
	say((struct vnc_msg){.kind = VNC_POINTER, .value = 8, .x = -5, .y = 100000});
	assert_int_equal(n_got, 5);
	assert_int_equal(got[0].value, 0);
	assert_int_equal(got[1].value, INPUT_ABS_MAX);
	assert_int_equal(got[4].code, INPUT_WHEEL_UP);
	n_got = 0;
	vnc_told_gone(&told, false, &screen);
	assert_int_equal(n_got, 1);
}

static void message_when_it_is_none_expect_it_left_out(void **state)
{
	struct vnc_msg m = {.kind = VNC_GONE};

	assert_false(vnc_told_message(&told, &m, sizeof(m) - 1, false, &screen));
	assert_false(say((struct vnc_msg){.kind = 99}));
	assert_false(say((struct vnc_msg){.kind = VNC_KEY, .slot = VNC_VIEWERS_MAX, .value = 'a'}));
	assert_true(say((struct vnc_msg){.kind = VNC_KEY, .value = 0xdeadbeef, .down = 1}));
	assert_int_equal(n_got, 0);
	say((struct vnc_msg){.kind = VNC_LOOKERS, .value = 1u << 30});
	assert_int_equal(told.lookers, VNC_VIEWERS_MAX);
	say((struct vnc_msg){.kind = VNC_POWER, .value = VNC_POWER_DOWN});
	say((struct vnc_msg){.kind = VNC_POWER, .value = VNC_POWER_RESET});
	say((struct vnc_msg){.kind = VNC_POWER, .value = 77});
	assert_int_equal(powers, 1);
	assert_int_equal(resets, 1);
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* `n` descriptors with a message; what is taken of them. */
static int hand_over(int pair[2], uint8_t kind, size_t len, const int *fds, size_t n)
{
	struct vnc_msg m = {.kind = kind};
	struct iovec iov = {.iov_base = &m, .iov_len = len};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	int fd = 99;

	control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(n * sizeof(int)),
					.cmsg_level = SOL_SOCKET,
					.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	assert_int_equal(sendmsg(pair[0], &h, 0), len);
	assert_int_equal(vnc_told_receive(pair[1], &m, &fd), len);
	return fd;
}

static void descriptor_when_it_is_no_line_expect_it_closed(void **state)
{
	int pair[2], stream[2], packet[2], file = open("/dev/null", O_RDWR), fd, many[8];
	struct vnc_msg m;
	unsigned before;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packet), 0);
	for (unsigned i = 0; i < 8; i++)
		many[i] = stream[0];
	before = open_descriptors();
	assert_int_equal(hand_over(pair, VNC_CONSOLE, sizeof(m), &file, 1), -1);
	assert_int_equal(hand_over(pair, VNC_CONSOLE, sizeof(m), packet, 1), -1);
	assert_int_equal(hand_over(pair, VNC_KEY, sizeof(m), stream, 1), -1);
	assert_int_equal(hand_over(pair, VNC_CONSOLE, sizeof(m) - 1, stream, 1), -1);
	assert_int_equal(hand_over(pair, VNC_KEY, sizeof(m), many, 8), -1);
	assert_int_equal(open_descriptors(), before);
	/* One of many is taken, the others are closed. */
	for (unsigned n = 1; n <= 8; n++) {
		fd = hand_over(pair, VNC_CONSOLE, sizeof(m), many, n);
		assert_true(fd >= 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(open_descriptors(), before + 1);
		close(fd);
	}
	assert_int_equal(vnc_told_receive(pair[1], &m, &fd), -1);
	assert_int_equal(fd, -1);
	for (unsigned i = 0; i < 2; i++) {
		close(pair[i]);
		close(stream[i]);
		close(packet[i]);
	}
	close(file);
}

static void window_when_it_moves_and_types_expect_movements_and_keys(void **state)
{
	assert_true(window_says((struct vnc_msg){.kind = VNC_MOVE, .value = 1, .x = -3, .y = 1 << 30}));
	assert_int_equal(n_got, 3);
	assert_int_equal(got[0].kind, INPUT_REL);
	assert_int_equal(got[0].value, -3);
	assert_int_equal(got[1].value, DISPLAY_SIZE_MAX);
	assert_int_equal(got[2].code, INPUT_LEFT);
	window_says((struct vnc_msg){.kind = VNC_MOVE});
	assert_int_equal(n_got, 1); /* the button alone */
	window_says((struct vnc_msg){.kind = VNC_CODE, .value = INPUT_KEY_less, .down = 1});
	assert_int_equal(got[0].code, INPUT_KEY_less);
	assert_true(window_says((struct vnc_msg){.kind = VNC_CODE, .value = INPUT_KEYS, .down = 1}));
	assert_int_equal(n_got, 0);
	/* A viewer holds it as well. */
	say((struct vnc_msg){.kind = VNC_CODE, .slot = 3, .value = INPUT_KEY_less, .down = 1});
	window_says((struct vnc_msg){.kind = VNC_GONE});
	assert_int_equal(n_got, 0);
	say((struct vnc_msg){.kind = VNC_GONE, .slot = 3});
	assert_int_equal(n_got, 1);
	/* Whatever slot it names, it has its own. */
	window_says((struct vnc_msg){.kind = VNC_CODE, .slot = 255, .value = INPUT_KEY_a, .down = 1});
	assert_int_equal(n_got, 1);
	n_got = 0;
	vnc_told_gone(&told, true, &screen);
	assert_int_equal(n_got, 1);
	assert_false(got[0].down);
}

static void window_when_it_closes_expect_the_end_and_viewers_cannot(void **state)
{
	assert_false(say((struct vnc_msg){.kind = VNC_QUIT}));
	assert_false(say((struct vnc_msg){.kind = VNC_MOVE, .x = 1}));
	assert_false(say((struct vnc_msg){.kind = VNC_LOOK, .value = 1}));
	assert_false(vnc_told_looked_at(&told));
	assert_int_equal(n_got + quits, 0);
	assert_true(window_says((struct vnc_msg){.kind = VNC_LOOK, .value = 1}));
	assert_true(vnc_told_looked_at(&told));
	window_says((struct vnc_msg){.kind = VNC_LOOK, .value = 0});
	assert_false(vnc_told_looked_at(&told));
	assert_false(window_says((struct vnc_msg){.kind = VNC_LOOKERS, .value = 1}));
	assert_true(window_says((struct vnc_msg){.kind = VNC_QUIT}));
	assert_int_equal(quits, 1);
	assert_in_range(vnc_confine_window_count(), 10, 50);
}

static void key_when_the_layout_is_german_expect_its_keys(void **state)
{
	struct lodge_err err = {""};
	struct input_layout *de = input_layout_new("de", &err);

	if (!de)
		print_message("%s\n", err.msg);
	assert_non_null(de);
	screen.layout = de;
	say((struct vnc_msg){.kind = VNC_KEY, .value = 'y', .down = 1});
	assert_int_equal(got[0].code, INPUT_KEY_z);
	/* What a viewer says of its keys counts less; but where it says no more than that, it does. */
	say((struct vnc_msg){.kind = VNC_CODE, .value = INPUT_KEY_1, .x = 'z', .down = 1});
	assert_int_equal(got[0].code, INPUT_KEY_y);
	say((struct vnc_msg){.kind = VNC_CODE, .value = INPUT_KEY_1, .down = 1});
	assert_int_equal(got[0].code, INPUT_KEY_1);
	screen.layout = NULL;
	say((struct vnc_msg){.kind = VNC_CODE, .value = INPUT_KEY_1, .x = 'z', .down = 1});
	assert_int_equal(got[0].code, INPUT_KEY_1);
	say((struct vnc_msg){.kind = VNC_KEY, .value = 'y', .down = 1});
	assert_int_equal(got[0].code, INPUT_KEY_y);
	input_layout_free(de);
}

/* ---- Scaling ------------------------------------------------------------------------------------ */

static void scale_when_the_window_has_another_shape_expect_it_in_the_middle(void **state)
{
	struct vnc_scale s;
	int32_t x, y;

	vnc_scale_fit(&s, 640, 480, 1920, 1080);
	assert_int_equal(s.w, 1440);
	assert_int_equal(s.h, 1080);
	assert_int_equal(s.x, 240);
	assert_int_equal(s.y, 0);
	vnc_scale_point(&s, 240, 0, &x, &y);
	assert_int_equal(x + y, 0);
	vnc_scale_point(&s, 1679, 1079, &x, &y);
	assert_int_equal(x, 639);
	assert_int_equal(y, 479);
	vnc_scale_point(&s, -5, 5000, &x, &y);
	assert_int_equal(x, 0);
	assert_int_equal(y, 479);
	/* What nothing fits into still has a dot. */
	vnc_scale_fit(&s, 8192, 1, 3, 1000);
	assert_int_equal(s.h, 1);
}

/* Drawn whole and drawn in parts is the same, at any size; and nothing outside is touched. */
static void scale_when_drawn_in_parts_expect_no_seams(void **state)
{
	enum { W = 67, H = 41, ROOM = 400 };
	static uint32_t from[W * H], whole[ROOM * ROOM], parts[ROOM * ROOM];
	static const struct {
		uint32_t w, h;
	} sizes[] = {{W, H}, {2 * W, 2 * H}, {150, 150}, {397, 101}, {40, 30}, {7, 399}, {1, 1}};

	for (unsigned i = 0; i < W * H; i++)
		from[i] = i * 2654435761u & 0xffffff;
	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		struct vnc_scale s;
		uint32_t drawn = 0;

		vnc_scale_fit(&s, W, H, sizes[n].w, sizes[n].h);
		memset(whole, 0xee, sizeof(whole));
		memset(parts, 0xee, sizeof(parts));
		vnc_scale_draw(&s, from, whole, ROOM,
			       vnc_scale_part(&s, (struct vnc_rect){0, 0, W, H}));
		for (uint32_t y = 0; y < H; y += 5) {
			for (uint32_t x = 0; x < W; x += 9) {
				struct vnc_rect p = vnc_scale_part(
					&s, (struct vnc_rect){x, y, x + 9 > W ? W : x + 9,
							      y + 5 > H ? H : y + 5});

				assert_true(p.x1 >= s.x && p.x2 <= s.x + s.w);
				assert_true(p.y1 >= s.y && p.y2 <= s.y + s.h);
				vnc_scale_draw(&s, from, parts, ROOM, p);
			}
		}
		assert_memory_equal(whole, parts, sizeof(whole));
		for (unsigned i = 0; i < ROOM * ROOM; i++)
			drawn += whole[i] != 0xeeeeeeee;
		assert_int_equal(drawn, s.w * s.h);
	}
}

static void scale_when_a_dot_changes_expect_its_part_to_have_all_that_it_changes(void **state)
{
	enum { W = 20, H = 20, ROOM = 64 };
	static uint32_t from[W * H], before[ROOM * ROOM], after[ROOM * ROOM];
	struct vnc_scale s;

	for (uint32_t size = 5; size < ROOM; size++) {
		vnc_scale_fit(&s, W, H, size, size);
		for (uint32_t d = 0; d < W; d++) {
			struct vnc_rect p = vnc_scale_part(&s, (struct vnc_rect){d, d, d + 1, d + 1});
			struct vnc_rect all = vnc_scale_part(&s, (struct vnc_rect){0, 0, W, H});

			memset(from, 0, sizeof(from));
			vnc_scale_draw(&s, from, before, ROOM, all);
			from[d * W + d] = 0xffffff;
			vnc_scale_draw(&s, from, after, ROOM, all);
			vnc_scale_draw(&s, from, before, ROOM, p);
			assert_memory_equal(before, after, sizeof(before));
		}
	}
}

/* ---- Before encryption -------------------------------------------------------------------------- */

static void vencrypt_when_the_client_knows_it_expect_tls(void **state)
{
	struct vencrypt v;

	vencrypt_begin(&v, VENCRYPT_X509_VNC);
	assert_memory_equal(v.out, "RFB 003.008\n", 12);
	assert_int_equal(vencrypt_wants(&v), 12);
	vencrypt_take(&v, (const uint8_t *)"RFB 003.007\n");
	assert_int_equal(v.minor, 7);
	assert_int_equal(v.out_len, 2);
	assert_memory_equal(v.out, "\1\23", 2);
	vencrypt_take(&v, (const uint8_t *)"\23");
	assert_memory_equal(v.out, "\0\2", 2);
	vencrypt_take(&v, (const uint8_t *)"\0\2");
	assert_int_equal(v.out_len, 6);
	assert_memory_equal(v.out, "\0\1\0\0\1\5", 6);
	vencrypt_take(&v, (const uint8_t *)"\0\0\1\5");
	assert_int_equal(v.out_len, 1);
	assert_int_equal(v.out[0], 1);
	assert_int_equal(v.stage, VENCRYPT_READY);
	assert_int_equal(vencrypt_wants(&v), 0);
}

static void vencrypt_when_the_client_wants_less_expect_the_end(void **state)
{
	static const struct {
		const char *step[4];
		uint8_t first; /* of the last answer */
	} bad[] = {
		{{"RFB 003.003\n"}, 0}, {{"GET / HTTP/1"}, 'R'}, {{"RFB 003.0x8\n"}, 'R'},
		{{"RFB 003.008\n", "\1"}, 0}, {{"RFB 003.889\n", "\2"}, 0},
		{{"RFB 003.008\n", "\23", "\0\1"}, 0xff},
		{{"RFB 003.008\n", "\23", "\0\2", "\0\0\1\4"}, 0},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vencrypt v;
		uint8_t last = 'R';

		vencrypt_begin(&v, VENCRYPT_X509_VNC);
		for (unsigned s = 0; s < 4 && bad[i].step[s]; s++) {
			assert_true(vencrypt_wants(&v) > 0);
			vencrypt_take(&v, (const uint8_t *)bad[i].step[s]);
			if (v.out_len)
				last = v.out[0];
		}
		assert_int_equal(v.stage, VENCRYPT_OVER);
		assert_int_equal(last, bad[i].first);
	}
}

/* ---- Requests ----------------------------------------------------------------------------------- */

static enum http_verdict parse(const char *text, struct http_request *r)
{
	return http_parse(text, strlen(text), r);
}

static void request_when_whole_expect_what_the_page_needs(void **state)
{
	struct http_request r;

	assert_int_equal(parse("GET /websockify?a=1&token=abc HTTP/1.1\r\nHost: h:1\r\n"
			       "cookie: x=y; lodge=123; z=1\r\nOrigin: http://h:1\r\nUPGRADE:  "
			       "WebSocket \r\n\r\n",
			       &r),
			 HTTP_OK);
	assert_string_equal(r.path, "/websockify");
	assert_string_equal(r.token, "abc");
	assert_string_equal(r.session, "123");
	assert_string_equal(r.host, "h:1");
	assert_string_equal(r.origin, "http://h:1");
	assert_true(r.upgrade && r.get && !r.head);
	assert_int_equal(parse("HEAD / HTTP/1.0\r\n\r\n", &r), HTTP_OK);
	assert_true(r.head && !r.upgrade && !r.session[0]);
}

static void request_when_bad_or_half_expect_so(void **state)
{
	static char big[HTTP_HEAD_MAX + 1];
	struct http_request r;

	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\n", &r), HTTP_MORE);
	assert_int_equal(parse("", &r), HTTP_MORE);
	assert_int_equal(parse("POST / HTTP/1.1\r\n\r\n", &r), HTTP_BAD);
	assert_int_equal(parse("GET nowhere HTTP/1.1\r\n\r\n", &r), HTTP_BAD);
	assert_int_equal(parse("GET /\r\n\r\n", &r), HTTP_BAD);
	assert_int_equal(parse("RFB 003.008\n\r\n\r\n", &r), HTTP_BAD);
	memset(big, 'a', HTTP_HEAD_MAX);
	assert_int_equal(parse(big, &r), HTTP_BAD);
	/* What is too long to be one of ours is none. */
	snprintf(big, sizeof(big), "GET /?token=%0100d HTTP/1.1\r\nCookie: lodge=%0100d\r\n\r\n", 1,
		 1);
	assert_int_equal(parse(big, &r), HTTP_OK);
	assert_true(!r.token[0] && !r.session[0]);
}

static void request_when_it_is_a_websocket_expect_its_key_and_whether_more_may_follow(void **state)
{
	struct http_request r;
	const char *text = "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\n"
			   "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ== \r\n\r\nmore";

	assert_int_equal(parse(text, &r), HTTP_OK);
	assert_string_equal(r.key, "dGhlIHNhbXBsZSBub25jZQ==");
	assert_true(r.keep);
	assert_int_equal(r.len, strlen(text) - 4);
	parse("GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", &r);
	assert_string_equal(r.key, ""); /* of no version */
	parse("GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n", &r);
	assert_string_equal(r.key, "");
	parse("GET / HTTP/1.0\r\n\r\n", &r);
	assert_false(r.keep);
	parse("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", &r);
	assert_false(r.keep);
	parse("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", &r);
	assert_false(r.keep);
}

/* ---- WebSockets --------------------------------------------------------------------------------- */

static void greeting_when_answered_expect_the_examples_of_the_specification(void **state)
{
	char out[WS_ACCEPT_CHARS + 1];

	ws_accept("dGhlIHNhbXBsZSBub25jZQ==", out);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static enum ws_what next(struct ws_in *w, const char *bytes, size_t len, const char *data)
{
	uint8_t buf[256], *got = NULL;
	size_t used, n = 0;
	unsigned code = 0;
	enum ws_what what;

	memcpy(buf, bytes, len);
	what = ws_next(w, buf, len, &used, &got, &n, &code);
	if (what == WS_GOT_DATA) {
		assert_int_equal(n, strlen(data));
		assert_memory_equal(got, data, n);
	}
	return what;
}

static void frame_when_it_comes_in_pieces_expect_its_bytes(void **state)
{
	static const char hello[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; /* RFC 6455 5.7 */
	struct ws_in w = {0};

	assert_int_equal(next(&w, hello, 11, "Hello"), WS_GOT_DATA);
	assert_int_equal(next(&w, hello, 3, ""), WS_GOT_NOTHING);
	assert_int_equal(next(&w, hello + 3, 5, "He"), WS_GOT_DATA);
	assert_int_equal(next(&w, hello + 8, 3, "llo"), WS_GOT_DATA);
	assert_int_equal(next(&w, "\x89\x81mask\x0c", 7, ""), WS_GOT_PING);
	assert_int_equal(w.control_len, 1);
	assert_int_equal(w.control[0], 'a');
	assert_int_equal(next(&w, "\x82\x80mask", 6, ""), WS_GOT_NOTHING);
	assert_int_equal(next(&w, "\x88\x80mask", 6, ""), WS_GOT_CLOSE);
	/* Not masked, as a server's are. */
	w = (struct ws_in){0};
	assert_int_equal(next(&w, "\x81\x05Hello", 7, ""), WS_GOT_BAD);
}

static void frame_when_sent_expect_the_shortest_length(void **state)
{
	uint8_t head[WS_HEAD_MAX];

	assert_int_equal(ws_head(head, WS_BINARY, 125), 2);
	assert_int_equal(head[1], 125);
	assert_int_equal(ws_head(head, WS_BINARY, 126), 4);
	assert_int_equal(ws_head(head, WS_BINARY, 65535), 4);
	assert_int_equal(ws_head(head, WS_BINARY, 65536), 10);
	assert_memory_equal(head, "\x82\x7f\0\0\0\0\0\x01\0\0", 10);
}

/* ---- Addresses ---------------------------------------------------------------------------------- */

static void address_when_host_is_left_out_expect_this_host_alone(void **state)
{
	struct lodge_err err;
	struct vnc_addr a = {.fd = -1};

	assert_int_equal(vnc_addr_open(&a, ":0", "-display web", 0, &err), 0);
	assert_true(a.loopback);
	assert_memory_equal(a.text, "127.0.0.1:", 10);
	assert_true(atoi(a.text + 10) > 0);
	vnc_addr_close(&a);
	assert_int_equal(vnc_addr_open(&a, "0.0.0.0:0", "-display web", 0, &err), 0);
	assert_false(a.loopback);
	vnc_addr_close(&a);
}

static void address_when_wrong_expect_sentences(void **state)
{
	static const char *const wrong[] = {"",	      "5",   ":x",    "host",
					    ":65000", ":-1", "unix:", "unix:rel"};
	struct lodge_err err;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct vnc_addr a = {.fd = -1};

		assert_true(vnc_addr_open(&a, wrong[i], "-vnc", 5900, &err) < 0);
		assert_int_equal(a.fd, -1);
		vnc_addr_close(&a);
	}
	assert_true(vnc_confine_count(true) < vnc_confine_count(false));
	assert_in_range(vnc_confine_count(false), 10, 50);
}

#define PICTURE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void size_when_wished_expect_it_within_bounds(void **state)
{
	const struct vnc_screen fixed = {0};
	struct vnc_msg m = {.kind = VNC_SIZE, .x = 1024, .y = 700};

	assert_true(say(m));
	assert_int_equal(wished[0], 1024);
	assert_int_equal(wished[1], 700);
	m.x = 0;
	assert_false(say(m));
	m.x = INT32_MIN;
	assert_false(say(m));
	m.x = 8192;
	m.y = 8193;
	assert_false(say(m));
	assert_int_equal(wished[0], 1024);
	m.y = 8192;
	assert_false(vnc_told_message(&told, &m, sizeof(m), false, &fixed));
	assert_true(say(m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PICTURE(picture_when_new_expect_all_of_it),
		PICTURE(picture_when_dots_change_expect_their_tiles_joined),
		PICTURE(memory_when_its_size_is_absurd_expect_another),
		cmocka_unit_test_setup(key_when_two_hold_it_expect_it_up_with_the_last, clear),
		cmocka_unit_test_setup(
			symbol_when_shift_is_not_held_expect_it_lent_while_the_key_is_down, clear),
		cmocka_unit_test_setup(symbol_when_shift_is_held_expect_nothing_more, clear),
		cmocka_unit_test_setup(letter_when_caps_lock_is_on_expect_no_shift, clear),
		cmocka_unit_test_setup(
			letter_when_ctrl_or_alt_is_held_expect_no_shift_but_for_signs, clear),
		cmocka_unit_test_setup(symbol_when_altgr_is_not_held_expect_it_lent, clear),
		cmocka_unit_test_setup(
			pointer_when_it_moves_and_clicks_expect_positions_and_buttons, clear),
		cmocka_unit_test_setup(message_when_it_is_none_expect_it_left_out, clear),
		cmocka_unit_test(descriptor_when_it_is_no_line_expect_it_closed),
		cmocka_unit_test_setup(window_when_it_moves_and_types_expect_movements_and_keys, clear),
		cmocka_unit_test_setup(window_when_it_closes_expect_the_end_and_viewers_cannot, clear),
		cmocka_unit_test_setup(key_when_the_layout_is_german_expect_its_keys, clear),
		cmocka_unit_test(scale_when_the_window_has_another_shape_expect_it_in_the_middle),
		cmocka_unit_test(scale_when_drawn_in_parts_expect_no_seams),
		cmocka_unit_test(
			scale_when_a_dot_changes_expect_its_part_to_have_all_that_it_changes),
		cmocka_unit_test(vencrypt_when_the_client_knows_it_expect_tls),
		cmocka_unit_test(vencrypt_when_the_client_wants_less_expect_the_end),
		cmocka_unit_test_setup(size_when_wished_expect_it_within_bounds, clear),
		cmocka_unit_test(request_when_whole_expect_what_the_page_needs),
		cmocka_unit_test(request_when_bad_or_half_expect_so),
		cmocka_unit_test(
			request_when_it_is_a_websocket_expect_its_key_and_whether_more_may_follow),
		cmocka_unit_test(greeting_when_answered_expect_the_examples_of_the_specification),
		cmocka_unit_test(frame_when_it_comes_in_pieces_expect_its_bytes),
		cmocka_unit_test(frame_when_sent_expect_the_shortest_length),
		cmocka_unit_test(address_when_host_is_left_out_expect_this_host_alone),
		cmocka_unit_test(address_when_wrong_expect_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
