// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img snapshot`: list, make, go back to, delete internal snapshots. */
#include <stdio.h>
#include <time.h>

#include "cli/img.h"
#include "cli/img_snapshots.h"

json_t *img_snapshots_json(const struct q_snapshots *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->count; i++) {
		const struct q_snapshot *p = &s->at[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "id",
						      p->id, "name", p->name, "vm-state-size",
						      (json_int_t)p->vm_state_size, "date-sec",
						      (json_int_t)p->date_sec, "date-nsec",
						      (json_int_t)p->date_nsec, "vm-clock-sec",
						      (json_int_t)(p->vm_clock_nsec / 1000000000),
						      "vm-clock-nsec",
						      (json_int_t)(p->vm_clock_nsec % 1000000000)));
	}
	return list;
}

void img_snapshots_print(const struct q_snapshots *s)
{
	puts("Snapshot list:\n"
	     "ID        TAG               VM SIZE                DATE     VM CLOCK");
	for (unsigned i = 0; i < s->count; i++) {
		const struct q_snapshot *p = &s->at[i];
		uint64_t ms = p->vm_clock_nsec / 1000000;
		time_t date = p->date_sec;
		char size[32], when[64] = "";
		struct tm tm;

		img_human(p->vm_state_size, size, sizeof(size));
		if (localtime_r(&date, &tm))
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
		printf("%-9s %-16s %8s %20s %02llu:%02llu:%02llu.%03llu\n", p->id, p->name, size,
		       when, (unsigned long long)(ms / 3600000),
		       (unsigned long long)(ms / 60000 % 60), (unsigned long long)(ms / 1000 % 60),
		       (unsigned long long)(ms % 1000));
	}
}

static int list(struct img_args *a, struct blk *b)
{
	struct lodge_err err = {""};
	struct q_snapshots s;
	int r = 0;

	if (q_snapshot_list(b, &s, &err))
		return img_fail(a, 1, "%s", err.msg);
	if (a->json)
		r = img_print_json(img_snapshots_json(&s));
	else if (s.count)
		img_snapshots_print(&s);
	q_snapshots_free(&s);
	return r;
}

int img_snapshot(struct img_args *a)
{
	bool change = a->val['c'] || a->val['a'] || a->val['d'];
	struct blk_open how = {.read_only = !change, .no_backing = true};
	struct lodge_err err = {""};
	struct blk *b;
	int r = 0, closed;

	if (img_names(a, 1, 1, "a file's name is wanted"))
		return 1;
	if (!!a->val['l'] + !!a->val['c'] + !!a->val['a'] + !!a->val['d'] > 1)
		return img_fail(a, 1, "only one of -l, -c, -a and -d at a time");
	r = img_open_how(a, 'f', 0, &how, &err);
	if (r)
		return img_fail(a, 1, "%s", err.msg);
	b = img_open(a, &how, a->argv[0]);
	if (!b)
		return 1;
	if (a->val['c'])
		r = q_snapshot_create(b, a->val['c'], &err);
	else if (a->val['a'])
		r = q_snapshot_apply(b, a->val['a'], &err);
	else if (a->val['d'])
		r = q_snapshot_delete(b, a->val['d'], &err);
	else
		r = list(a, b);
	if (r && change)
		r = img_fail(a, 1, "%s", err.msg);
	closed = blk_close(b);
	if (closed && !r)
		r = img_fail(a, 1, "cannot write '%s'", a->argv[0]);
	return r;
}
