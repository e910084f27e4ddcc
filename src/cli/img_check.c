// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img check`. Exit codes: 0 clean, 1 not done, 2 errors, 3 leaks alone, 63 not that format. */
#include <stdio.h>
#include <string.h>

#include "block/qcow2.h"
#include "cli/img.h"

static void say(void *opaque, const char *sentence)
{
	const struct img_args *a = opaque;

	if (!a->val['q'])
		fprintf(stderr, "%s\n", sentence);
}

static int print_json(const struct img_args *a, const struct q_check_result *res)
{
	static const char *const names[] = {"corruptions",	   "leaks",
					    "corruptions-fixed",   "leaks-fixed",
					    "compressed-clusters", "fragmented-clusters"};
	const uint64_t values[] = {res->corruptions,	     res->leaks,
				   res->corruptions_fixed,   res->leaks_fixed,
				   res->compressed_clusters, res->fragmented_clusters};
	json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "filename", a->argv[0], "format",
			      "qcow2", "check-errors", (json_int_t)res->check_errors,
			      "image-end-offset", (json_int_t)res->end_off, "total-clusters",
			      (json_int_t)res->total_clusters, "allocated-clusters",
			      (json_int_t)res->allocated_clusters);

	/* qemu-img leaves out what is 0. */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (values[i])
			json_object_set_new(j, names[i], json_integer((json_int_t)values[i]));
	}
	return img_print_json(j);
}

static void print_text(const struct q_check_result *res)
{
	double total = res->total_clusters ? (double)res->total_clusters : 1;
	double used = res->allocated_clusters ? (double)res->allocated_clusters : 1;

	if (res->corruptions_fixed || res->leaks_fixed)
		printf("%llu corruptions and %llu leaks were mended.\n",
		       (unsigned long long)res->corruptions_fixed,
		       (unsigned long long)res->leaks_fixed);
	if (!res->corruptions && !res->leaks && !res->check_errors)
		puts("No errors were found on the image.");
	if (res->corruptions)
		printf("\n%llu errors were found on the image.\n"
		       "Data may be corrupted, or further writes to the image may corrupt it.\n",
		       (unsigned long long)res->corruptions);
	if (res->leaks)
		printf("\n%llu leaked clusters were found on the image.\n"
		       "This means waste of disk space, but no harm to data.\n",
		       (unsigned long long)res->leaks);
	if (res->total_clusters)
		printf("%llu/%llu = %.2f%% allocated, %.2f%% fragmented, %.2f%% compressed "
		       "clusters\n",
		       (unsigned long long)res->allocated_clusters,
		       (unsigned long long)res->total_clusters,
		       (double)res->allocated_clusters * 100 / total,
		       (double)res->fragmented_clusters * 100 / used,
		       (double)res->compressed_clusters * 100 / used);
	printf("Image end offset: %llu\n", (unsigned long long)res->end_off);
}

int img_check(struct img_args *a)
{
	struct blk_open how = {.read_only = !a->val['r'], .check = true, .no_backing = true};
	struct q_check_result res = {.say = say, .opaque = a};
	struct lodge_err err = {""};
	unsigned repair = 0;
	struct blk *b;
	int r;

	if (img_names(a, 1, 1, "a file's name is wanted"))
		return 1;
	if (a->val['r'] && strcmp(a->val['r'], "leaks") && strcmp(a->val['r'], "all"))
		return img_fail(a, 1, "-r is 'leaks' or 'all'");
	if (a->val['r'])
		repair = strcmp(a->val['r'], "all") ? Q_REPAIR_LEAKS : Q_REPAIR_ALL;
	if (img_open_how(a, 'f', 'T', &how, &err))
		return img_fail(a, 1, "%s", err.msg);
	b = img_open(a, &how, a->argv[0]);
	if (!b)
		return 1;
	if (!strcmp(blk_format(b), "qcow2")) {
		r = q_check_image(b, repair, &res, &err) ? img_fail(a, 1, "%s", err.msg) : 0;
	} else {
		r = img_fail(a, 63, "images of the format %s cannot be checked", blk_format(b));
	}
	if (blk_close(b) && !r)
		r = img_fail(a, 1, "cannot write '%s'", a->argv[0]);
	if (r)
		return r;
	res.corruptions -= res.corruptions_fixed;
	res.leaks -= res.leaks_fixed;
	if (a->json)
		r = print_json(a, &res);
	else if (!a->val['q'])
		print_text(&res);
	if (r)
		return r;
	return res.corruptions ? 2 : res.leaks ? 3 : 0;
}
