// SPDX-License-Identifier: GPL-2.0-or-later
/* HMP: keys, pointer, screen. Source: QEMU's human monitor. Threads: the control thread's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/hmp_int.h"
#include "machine/ctl_input.h"

#define HOLD_MS 100
#define KEYS_MAX 16u

static bool number(const char *text, long least, long most, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 0);
	return !errno && end != text && !*end && *out >= least && *out <= most;
}

/* "ctrl-alt-f1", "0x1d-ret". */
static int sendkey(struct hmp *h, char **word)
{
	enum input_key keys[KEYS_MAX];
	const char *at = word[0];
	long hold = HOLD_MS;
	unsigned n = 0;

	if (word[1] && !number(word[1], 0, INPUT_DELAY_MAX_MS, &hold))
		return err_set(&h->err, -EINVAL, "'%.60s' is no time in ms", word[1]);
	for (;;) {
		size_t len = strcspn(at, "-");
		enum input_key key = input_key_named(at, len);
		char *end;

		if (!key && !strncmp(at, "0x", 2)) {
			key = input_key_of_ps2((unsigned)strtoul(at, &end, 16) & 0xffff);
			key = end == at + len ? key : INPUT_KEY_unmapped;
		}
		if (!key)
			return err_set(&h->err, -EINVAL, "there is no key '%.*s'",
				       (int)(len > 60 ? 60 : len), at);
		if (n == KEYS_MAX)
			return err_set(&h->err, -EINVAL, "%u keys are the most", KEYS_MAX);
		keys[n++] = key;
		if (!at[len])
			return mon_press(h->m, keys, n, hold, &h->err);
		at += len + 1;
	}
}

static int mouse_move(struct hmp *h, char **word)
{
	struct input_event ev[4];
	unsigned n = 0;
	long v[3] = {0};

	for (unsigned i = 0; i < 3 && word[i]; i++) {
		if (!number(word[i], -(1 << 20), 1 << 20, &v[i]))
			return err_set(&h->err, -EINVAL, "'%.60s' is no number of dots", word[i]);
	}
	ev[n++] = (struct input_event){.kind = INPUT_REL, .code = INPUT_X, .value = (int32_t)v[0]};
	ev[n++] = (struct input_event){.kind = INPUT_REL, .code = INPUT_Y, .value = (int32_t)v[1]};
	for (int up = 1; v[2] && up >= 0; up--)
		ev[n++] = (struct input_event){
			.kind = INPUT_BUTTON,
			.code = (uint16_t)(v[2] > 0 ? INPUT_WHEEL_UP : INPUT_WHEEL_DOWN),
			.down = up,
		};
	return vm_ctl_input(h->vm, ev, n, &h->err);
}

/* 1 left, 2 right, 4 middle, added up. */
static int mouse_button(struct hmp *h, char **word)
{
	static const uint16_t button[] = {INPUT_LEFT, INPUT_RIGHT, INPUT_MIDDLE};
	struct input_event ev[3];
	long v;

	if (!number(word[0], 0, 7, &v))
		return err_set(&h->err, -EINVAL, "buttons are 0 to 7: 1 left, 2 right, 4 middle");
	for (unsigned i = 0; i < 3; i++)
		ev[i] = (struct input_event){.kind = INPUT_BUTTON,
					     .code = button[i],
					     .down = v >> i & 1};
	return vm_ctl_input(h->vm, ev, 3, &h->err);
}

static int screendump(struct hmp *h, char **word)
{
	bool png = false;

	if (word[1] && word[2]) {
		if (strcmp(word[1], "-f") != 0 ||
		    (strcmp(word[2], "png") != 0 && strcmp(word[2], "ppm") != 0))
			return err_set(&h->err, -EINVAL,
				       "write it as: screendump FILE [-f png|ppm]");
		png = word[2][1] == 'n';
	} else if (word[1]) {
		return err_set(&h->err, -EINVAL, "write it as: screendump FILE [-f png|ppm]");
	}
	return mon_screendump(h->m, word[0], png, &h->err);
}

const struct hmp_command hmp_input_commands[] = {
	{"sendkey", NULL, "KEYS [MS]", "press keys together, as ctrl-alt-delete", 1, 2, sendkey},
	{"mouse_move", NULL, "DX DY [DZ]", "move the mouse", 2, 3, mouse_move},
	{"mouse_button", NULL, "BUTTONS", "hold mouse buttons: 1 left, 2 right, 4 middle", 1, 1,
	 mouse_button},
	{"screendump", NULL, "FILE [-f png|ppm]", "write what the screen shows to a file", 1, 3,
	 screendump},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};

int hmp_info_mice(struct hmp *h, char **word)
{
	struct vm_ctl_pointer p[VM_CTL_POINTERS];
	unsigned n = vm_ctl_pointers(h->vm, p);

	(void)word;
	for (unsigned i = 0; i < n; i++)
		mon_buf_printf(h->out, "%c Mouse #%u: %s%s\n", p[i].current ? '*' : ' ', i,
			       p[i].name, p[i].absolute ? " (absolute)" : "");
	return 0;
}
