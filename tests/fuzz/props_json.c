// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options written as JSON, asked for as -blockdev's reader and -device do. Run: make t T=fuzz/props_json
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/props.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct lodge_err err = {""};
	struct props *p;
	bool on = false;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	p = props_parse_json("-blockdev", text, &err);
	if (!p && !err.msg[0])
		abort(); /* every refusal has its sentence */
	if (p) {
		(void)props_get(p, "driver");
		(void)props_get(p, "file.filename");
		(void)!props_bool(p, "cache.direct", &on, &err);
		(void)!props_done(p, &err);
	}
	props_free(p);
	free(text);
	return 0;
}
