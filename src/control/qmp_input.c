// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP: keys and pointer. Source: QEMU's QMP reference (send-key, input-send-event, query-mice).
 * Threads: the control thread's.
 */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "control/mon_int.h"
#include "machine/ctl_input.h"

#define HOLD_MS 100
#define KEYS_MAX 16u
#define EVENTS_MAX 256u
#define STROKE_EVENTS (2 * KEYS_MAX + 2)

static const char *const buttons[INPUT_BUTTONS + 1] = {
	[INPUT_LEFT] = "left",
	[INPUT_MIDDLE] = "middle",
	[INPUT_RIGHT] = "right",
	[INPUT_WHEEL_UP] = "wheel-up",
	[INPUT_WHEEL_DOWN] = "wheel-down",
	[INPUT_SIDE] = "side",
	[INPUT_EXTRA] = "extra",
	[INPUT_WHEEL_LEFT] = "wheel-left",
	[INPUT_WHEEL_RIGHT] = "wheel-right",
};
static const char *const axes[] = {[INPUT_X] = "x", [INPUT_Y] = "y", NULL};

int mon_press(struct mon *m, const enum input_key *keys, unsigned n, int64_t hold_ms,
	      struct lodge_err *err)
{
	struct input_event ev[STROKE_EVENTS];
	unsigned at = 0;

	if (!n || n > KEYS_MAX)
		return err_set(err, -EINVAL, "1 to %u keys are pressed together", KEYS_MAX);
	if (hold_ms < 0 || hold_ms > INPUT_DELAY_MAX_MS)
		return err_set(err, -EINVAL, "keys are held 0 to %u ms", INPUT_DELAY_MAX_MS);
	for (unsigned i = 0; i < n; i++)
		ev[at++] = (struct input_event){.kind = INPUT_KEY,
						.code = (uint16_t)keys[i],
						.down = true};
	ev[at++] = (struct input_event){.kind = INPUT_DELAY, .value = (int32_t)hold_ms};
	for (unsigned i = n; i-- > 0;)
		ev[at++] = (struct input_event){.kind = INPUT_KEY, .code = (uint16_t)keys[i]};
	ev[at++] = (struct input_event){.kind = INPUT_DELAY, .value = (int32_t)hold_ms};
	return vm_ctl_input(m->vm, ev, at, err);
}

/* {"type": "qcode", "data": "ret"} or {"type": "number", "data": 28}. */
static int read_key(const json_t *v, enum input_key *key, struct lodge_err *err)
{
	const char *type = json_string_value(json_object_get(v, "type"));
	json_t *data = json_object_get(v, "data");
	const char *name = json_string_value(data);

	*key = INPUT_KEY_unmapped;
	if (type && !strcmp(type, "qcode") && name)
		*key = input_key_named(name, strlen(name));
	else if (type && !strcmp(type, "number") && json_is_integer(data))
		*key = input_key_of_ps2((unsigned)json_integer_value(data) & 0xffff);
	else
		return err_set(err, -EINVAL,
			       "a key is {\"type\": \"qcode\", \"data\": NAME} or {\"type\": "
			       "\"number\", \"data\": N}");
	return *key ? 0
		    : err_set(err, -EINVAL, "there is no key '%.60s'",
			      name ? name : "of that number");
}

COMMAND(send_key)
{
	json_t *list = json_object_get(args, "keys"), *v;
	enum input_key keys[KEYS_MAX];
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > KEYS_MAX)
		return err_set(err, -EINVAL, "'keys' is an array of 1 to %u keys", KEYS_MAX);
	json_array_foreach (list, i, v) {
		int r = read_key(v, &keys[i], err);

		if (r)
			return r;
	}
	return mon_press(m, keys, (unsigned)json_array_size(list),
			 qmp_int(args, "hold-time", HOLD_MS), err);
}

static int read_word(const json_t *v, const char *const *words, uint16_t *out, const char *what,
		     struct lodge_err *err)
{
	const char *word = json_string_value(v);

	for (uint16_t i = 0; word && words[i]; i++) {
		if (!strcmp(words[i], word)) {
			*out = i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "there is no %s '%.60s'", what, word ? word : "of that type");
}

/* One of QMP's InputEvents. */
static int read_event(const json_t *v, struct input_event *ev, struct lodge_err *err)
{
	const char *type = json_string_value(json_object_get(v, "type"));
	json_t *data = json_object_get(v, "data"), *value;
	enum input_key key = INPUT_KEY_unmapped;
	int r;

	*ev = (struct input_event){.down = json_is_true(json_object_get(data, "down"))};
	if (!type)
		return err_set(err, -EINVAL, "an event has a type: key, btn, rel or abs");
	if (!strcmp(type, "key")) {
		r = read_key(json_object_get(data, "key"), &key, err);
		ev->kind = INPUT_KEY;
		ev->code = (uint16_t)key;
		return r;
	}
	if (!strcmp(type, "btn")) {
		ev->kind = INPUT_BUTTON;
		return read_word(json_object_get(data, "button"), buttons, &ev->code, "button",
				 err);
	}
	if (strcmp(type, "rel") != 0 && strcmp(type, "abs") != 0)
		return err_set(err, -EINVAL,
			       "there are no events of type '%.60s'; there are key, btn, rel, abs",
			       type);
	value = json_object_get(data, "value");
	ev->kind = type[0] == 'r' ? INPUT_REL : INPUT_ABS;
	if (!json_is_integer(value) || json_integer_value(value) > INT32_MAX ||
	    json_integer_value(value) < INT32_MIN)
		return err_set(err, -EINVAL, "'value' is a number");
	ev->value = (int32_t)json_integer_value(value);
	return read_word(json_object_get(data, "axis"), axes, &ev->code, "axis", err);
}

COMMAND(send_event)
{
	json_t *list = json_object_get(args, "events"), *v;
	struct input_event ev[EVENTS_MAX];
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > EVENTS_MAX)
		return err_set(err, -EINVAL, "'events' is an array of at most %u events",
			       EVENTS_MAX);
	if (json_object_get(args, "device") || qmp_int(args, "head", 0))
		return err_set(err, -EINVAL,
			       "events go to the current devices; leave 'device' and 'head' out");
	json_array_foreach (list, i, v) {
		int r = read_event(v, &ev[i], err);

		if (r)
			return r;
	}
	return vm_ctl_input(m->vm, ev, (unsigned)json_array_size(list), err);
}

COMMAND(query_mice)
{
	struct vm_ctl_pointer p[VM_CTL_POINTERS];
	unsigned n = vm_ctl_pointers(m->vm, p);

	*ret = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(*ret, json_pack("{s:s, s:i, s:b, s:b}", "name", p[i].name,
						      "index", (int)i, "current", p[i].current,
						      "absolute", p[i].absolute));
	return 0;
}

/* Lodge's own: for those who type. */
COMMAND(query_input)
{
	*ret = json_pack("{s:i, s:b, s:s}", "waiting", (int)vm_ctl_input_waiting(m->vm), "absolute",
			 vm_ctl_input_absolute(m->vm), "keyboard", vm_ctl_keyboard(m->vm));
	return 0;
}

const struct qmp_command qmp_input_commands[] = {
	{"send-key", "keys:a,?hold-time:i", send_key},
	{"input-send-event", "?device:s,?head:i,events:a", send_event},
	{"query-mice", "", query_mice},
	{"x-query-input", "", query_input},
	{NULL, NULL, NULL},
};
