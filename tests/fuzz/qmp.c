// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any client of a control socket: its bytes in pieces of any size, to sessions of both kinds, on a whole machine
 * whose vCPU does nothing. What comes back must be JSON (QMP), and bounded. Run: make t T=fuzz/qmp
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/machine/fake_engine.h"
#include "base/props.h"
#include "control/mon_int.h"
#include "machine/vm_int.h"
#include "machine_harness.h"

static struct vm *make_vm(void)
{
	char bios[] = FUZZ_BIOS_PATH, spec[128];
	struct vm_config cfg = {.engine = &fake_engine,
				.ram_bytes = 16 << 20,
				.cpus = 2,
				.name = "fuzz",
				.bios = bios,
				/* No process is started for netdev_add. */
				.shut_in = true};
	struct lodge_err err = {""};

	fuzz_bios(bios);
	snprintf(spec, sizeof(spec), "if=none,id=d0,format=raw,snapshot=on,file=%s", bios);
	cfg.drives.p[cfg.drives.n++] = props_parse("-drive", spec, NULL, &err);
	cfg.drives.p[cfg.drives.n++] =
		props_parse("-drive", "if=ide,index=2,media=cdrom,id=cd0", NULL, &err);
	cfg.devices.p[cfg.devices.n++] =
		props_parse("-device", "virtio-blk-pci,drive=d0,id=v0", "driver", &err);
	cfg.devices.p[cfg.devices.n++] =
		props_parse("-device", "virtio-balloon-pci", "driver", &err);
	cfg.devices.p[cfg.devices.n++] = props_parse("-device", "VGA", "driver", &err);
	return fuzz_vm(&cfg);
}

/* Each line of a QMP session is a JSON object. */
static void check_lines(const char *p, size_t len)
{
	while (len) {
		const char *nl = memchr(p, '\n', len);
		size_t n = nl ? (size_t)(nl - p) : len;
		json_t *j = json_loadb(p, n, 0, NULL);

		if (!nl || !json_is_object(j))
			abort();
		json_decref(j);
		len -= n + 1;
		p = nl + 1;
	}
}

/*
 * The host's files are not for the fuzzer: names with a folder are spoilt, and so are "file" and
 * "filename", without which no image is added or made (d0 runs with snapshot=on), and "memsave". The '/' of "x/4xw" stays.
 */
static bool is_path(const char *p, size_t i)
{
	return p[i] == '/' && !(i && (p[i - 1] == 'x' || p[i - 1] == 'p'));
}

static void spoil(char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (is_path(p, i) || (p[i] == '\\' && i + 1 < len && p[i + 1] == 'u') ||
		    (i + 4 <= len && (!memcmp(p + i, "file", 4) || !memcmp(p + i, "save", 4))))
			p[i] = '_';
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vm *vm;
	struct mon *m;
	char *text;
	size_t at = 1, len;

	if (!vm)
		vm = make_vm();
	if (!size)
		return 0;
	text = malloc(size);
	memcpy(text, data, size);
	spoil(text, size);
	m = mon_new(vm, (enum mon_mode)(data[0] & 3));
	if (data[0] & 4)
		mon_feed(m, "{\"execute\":\"qmp_capabilities\"}", 30);
	while (at < size && !mon_dead(m)) {
		size_t room = mon_room(m), n = 1 + data[at] % 64;

		n = n < size - at ? n : size - at;
		n = n < room ? n : room;
		mon_feed(m, text + at, n);
		at += n;
		if (!room || data[at - 1] & 1) {
			mon_output(m, &len);
			if (len > MON_OUT_HIGH + MON_TEXT_MAX * 2)
				abort();
			if (!(data[0] & 2))
				check_lines(mon_output(m, &len), data[0] & 1 ? 0 : len);
			mon_sent(m, len);
		}
	}
	mon_free(m);
	free(text);
	return 0;
}
