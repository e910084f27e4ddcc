// SPDX-License-Identifier: GPL-2.0-or-later
/* Drives of -drive and -blockdev: places, names, refusals, errors. Run: make t T=machine/drive */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/range.h"
#include "machine/board_int.h"
#include "machine/drive_int.h"

static struct vm vm;
static struct board board;
static struct lodge_err err;
static char dir[64], path[96], other[96];

static void make(const char *name)
{
	int fd = open(name, O_CREAT | O_RDWR, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 65536), 0);
	close(fd);
}

static int setup(void **state)
{
	memset(&vm, 0, sizeof(vm));
	memset(&board, 0, sizeof(board));
	pthread_mutex_init(&vm.lock, NULL);
	vm.loop = io_loop_new(&vm.lock, NULL);
	board.vm = &vm;
	list_init(&board.drives);
	strcpy(dir, "/tmp/lodge-drive-XXXXXX");
	if (!vm.loop || !mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/a,b.img", dir);
	snprintf(other, sizeof(other), "%s/other.img", dir);
	make(path);
	make(other);
	return 0;
}

static int teardown(void **state)
{
	drives_close(&board);
	while (vm.cfg.drives.n)
		props_free(vm.cfg.drives.p[--vm.cfg.drives.n]);
	while (vm.cfg.blockdevs.n)
		props_free(vm.cfg.blockdevs.p[--vm.cfg.blockdevs.n]);
	io_loop_free(vm.loop);
	unlink(path);
	unlink(other);
	rmdir(dir);
	return 0;
}

static struct props *add(struct vm_options *o, const char *text, const char *file)
{
	struct props *p = props_parse("-drive", text, "driver", &err);

	assert_non_null(p);
	if (file)
		assert_int_equal(props_set(p, "file", file), 0);
	return o->p[o->n++] = p;
}

static void drive(const char *text, const char *file)
{
	add(&vm.cfg.drives, text, file);
}

static void blockdev(const char *text, const char *name)
{
	struct props *p = add(&vm.cfg.blockdevs, text, NULL);

	if (name)
		assert_int_equal(props_set(p, name, path), 0);
}

static void open_all(void)
{
	int r = drives_open(&board, &err);

	if (r)
		print_error("%s\n", err.msg);
	assert_int_equal(r, 0);
}

static void refused(const char *word)
{
	assert_true(drives_open(&board, &err) < 0);
	if (!strstr(err.msg, word))
		print_error("'%s' is not in: %s\n", word, err.msg);
	assert_non_null(strstr(err.msg, word));
	teardown(NULL);
	setup(NULL);
}

static void is_at(const char *id, enum drive_if iface, unsigned bus, unsigned unit)
{
	struct drive *d = drive_find(&board, id);

	if (!d)
		print_error("there is no %s\n", id);
	assert_non_null(d);
	assert_ptr_equal(d, drive_at(&board, iface, bus, unit));
}

static void places_when_not_said_expect_qemus(void **state)
{
	drive("media=cdrom,index=2", NULL);
	drive("media=disk,readonly=on,format=raw", path);
	drive("media=cdrom,index=1", NULL);
	drive("media=cdrom", NULL);
	drive("if=floppy", NULL);
	drive("if=floppy,index=1", NULL);
	drive("if=virtio,format=raw,serial=abc", other);
	drive("if=none,media=cdrom,id=mine", NULL);
	open_all();
	is_at("ide1-cd0", DRIVE_IDE, 1, 0);
	is_at("ide0-hd0", DRIVE_IDE, 0, 0);
	is_at("ide0-cd1", DRIVE_IDE, 0, 1);
	is_at("ide1-cd1", DRIVE_IDE, 1, 1);
	is_at("floppy0", DRIVE_FLOPPY, 0, 0);
	is_at("floppy1", DRIVE_FLOPPY, 0, 1);
	is_at("virtio0", DRIVE_VIRTIO, 0, 0);
	is_at("mine", DRIVE_NONE, 0, 0);
	assert_true(drive_find(&board, "ide0-hd0")->read_only);
	assert_null(drive_find(&board, "ide1-cd0")->image);
	assert_string_equal(drive_find(&board, "virtio0")->serial, "abc");
	assert_non_null(drive_find(&board, "virtio0")->queue);
	assert_null(drive_find(&board, "nobody"));
}

static void drives_when_wrong_expect_a_sentence(void **state)
{
	drive("if=ide", NULL);
	refused("file=PATH");
	drive("if=scsi,format=raw", path);
	refused("scsi");
	drive("index=0,bus=0,format=raw", path);
	refused("index=");
	drive("bus=0,unit=2,format=raw", path);
	refused("units 0 to 1");
	drive("media=cdrom,index=0", NULL);
	drive("media=cdrom,index=0", NULL);
	refused("two drives");
	drive("media=cdrom,id=a", NULL);
	drive("media=cdrom,id=a", NULL);
	refused("'a' is taken");
	drive("cache=maybe,format=raw", path);
	refused("maybe");
	drive("rerror=enospc,format=raw", path);
	refused("enospc");
	drive("aio=native,format=raw", path);
	refused("io_uring");
	drive("copy-on-read=on,format=raw", path);
	refused("copy-on-read");
	drive("media=cdrom,readonly=off", NULL);
	refused("CD");
	drive("format=raw", path);
	drive("format=raw", path);
	refused("in use");
	drive("serial=12345678901234567890123456789012345678901,format=raw", path);
	refused("serial");
}

static void blockdev_when_in_parts_expect_one_drive(void **state)
{
	blockdev("file,node-name=f,auto-read-only=on", "filename");
	blockdev("raw,node-name=d,file=f,read-only=on,cache.direct=off,discard=unmap", NULL);
	open_all();
	assert_null(drive_find(&board, "f"));
	is_at("d", DRIVE_NONE, 0, 0);
	assert_true(drive_find(&board, "d")->read_only);
	assert_false(blk_probed(drive_find(&board, "d")->image));
	teardown(NULL);
	setup(NULL);
	blockdev("raw,node-name=d,file.driver=file", "file.filename");
	open_all();
	is_at("d", DRIVE_NONE, 0, 0);
	teardown(NULL);
	setup(NULL);
	blockdev("file,node-name=alone", "filename");
	open_all();
	is_at("alone", DRIVE_NONE, 0, 0);
}

static void blockdev_json(const char *fmt, ...)
{
	struct vm_options *o = &vm.cfg.blockdevs;
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	o->p[o->n] = props_parse_json("-blockdev", text, &err);
	if (!o->p[o->n])
		print_error("%s\n", err.msg);
	assert_non_null(o->p[o->n]);
	o->n++;
}

static void blockdev_when_json_expect_the_same_drive(void **state)
{
	blockdev_json("{\"driver\":\"file\",\"filename\":\"%s\",\"node-name\":\"f\",\"auto-read-"
		      "only\":true,"
		      "\"discard\":\"unmap\",\"aio\":\"threads\",\"locking\":\"auto\"}",
		      path);
	blockdev_json("{\"node-name\":\"d\",\"read-only\":true,\"discard\":\"unmap\",\"cache\":{"
		      "\"direct\":"
		      "false,\"no-flush\":false},\"driver\":\"raw\",\"file\":\"f\"}");
	open_all();
	assert_null(drive_find(&board, "f"));
	is_at("d", DRIVE_NONE, 0, 0);
	assert_true(drive_find(&board, "d")->read_only);
	assert_false(blk_queue_uses_uring(drive_find(&board, "d")->queue));
	teardown(NULL);
	setup(NULL);
	blockdev_json("{\"node-name\":\"d\",\"driver\":\"raw\",\"file\":{\"driver\":\"file\","
		      "\"filename\":"
		      "\"%s\",\"aio\":\"threads\",\"discard\":\"ignore\"}}",
		      path);
	open_all();
	is_at("d", DRIVE_NONE, 0, 0);
	assert_false(blk_queue_uses_uring(drive_find(&board, "d")->queue));
	assert_false(drive_find(&board, "d")->read_only);
	teardown(NULL);
	setup(NULL);
	blockdev_json("{\"node-name\":\"d\",\"driver\":\"raw\",\"file\":{\"driver\":\"file\","
		      "\"filename\":"
		      "\"%s\"},\"backing\":{\"driver\":\"raw\"}}",
		      path);
	refused("backing.driver");
}

/* Discards reach the file if its node and the image's let them. */
static void blockdev_when_discards_are_said_expect_both_asked(void **state)
{
	static const struct {
		const char *text;
		bool on;
	} c[] = {
		{"raw,node-name=d,file.driver=file,discard=unmap", true},
		{"raw,node-name=d,file.driver=file,discard=unmap,file.discard=unmap", true},
		{"raw,node-name=d,file.driver=file,discard=unmap,file.discard=ignore", false},
		{"raw,node-name=d,file.driver=file,file.discard=unmap", false},
		{"raw,node-name=d,file.driver=file", false},
	};
	struct drive_spec s;

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		blockdev(c[i].text, "file.filename");
		assert_int_equal(drive_read_blockdev(&vm.cfg.blockdevs, 0, &s, &err), 1);
		assert_int_equal(s.open.discard, c[i].on);
		teardown(NULL);
		setup(NULL);
	}
	blockdev("file,node-name=d,discard=unmap", "filename");
	assert_int_equal(drive_read_blockdev(&vm.cfg.blockdevs, 0, &s, &err), 1);
	assert_true(s.open.discard);
}

static void blockdev_when_wrong_expect_a_sentence(void **state)
{
	blockdev("raw,node-name=d", NULL);
	refused("file.filename");
	blockdev("raw,file.driver=file", "file.filename");
	refused("node-name");
	blockdev("raw,node-name=d,file=later", NULL);
	blockdev("file,node-name=later", "filename");
	refused("later");
	blockdev("raw,node-name=d,file.driver=nbd", NULL);
	refused("file.driver=file");
	blockdev("throttle,node-name=d,file.driver=file", "file.filename");
	refused("throttle");
}

static void device_when_it_names_a_drive_expect_it_once(void **state)
{
	struct props *p, *q;

	drive("if=none,id=d,format=raw", path);
	drive("media=cdrom", NULL);
	open_all();
	p = props_parse("-device x", "drive=d,werror=stop,write-cache=off", NULL, &err);
	assert_ptr_equal(drive_of(&board, p, &err), drive_find(&board, "d"));
	assert_int_equal(props_done(p, &err), 0);
	assert_false(blk_queue_write_cache(drive_find(&board, "d")->queue));
	assert_null(drive_of(&board, p, &err));
	assert_non_null(strstr(err.msg, "has a device"));
	props_free(p);
	q = props_parse("-device x", "drive=ide0-cd0", NULL, &err);
	assert_null(drive_of(&board, q, &err));
	assert_non_null(strstr(err.msg, "if=none"));
	props_free(q);
	q = props_parse("-device x", "drive=nobody", NULL, &err);
	assert_null(drive_of(&board, q, &err));
	assert_non_null(strstr(err.msg, "nobody"));
	props_free(q);
	q = props_parse("-device x", "id=5", NULL, &err);
	assert_null(drive_of(&board, q, &err));
	assert_non_null(strstr(err.msg, "drive=ID"));
	props_free(q);
}

static void check_when_nobody_shows_a_drive_expect_a_sentence(void **state)
{
	drive("if=none,id=d,format=raw", path);
	drive("index=3,format=raw", other);
	open_all();
	assert_int_equal(drives_check(&board, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "ide1-hd1"));
	drive_find(&board, "ide1-hd1")->used = true;
	assert_int_equal(drives_check(&board, &err), 0);
}

static void snapshot_when_asked_expect_files_kept(void **state)
{
	uint8_t buf[512];
	struct drive *d;

	vm.cfg.snapshot = true;
	drive("if=none,id=d,format=raw", path);
	drive("if=none,id=e,format=raw,snapshot=off", other);
	open_all();
	d = drive_find(&board, "d");
	assert_false(d->read_only);
	memset(buf, 1, sizeof(buf));
	assert_int_equal(blk_write(d->image, 0, buf, 512), 0);
	assert_int_equal(blk_write(drive_find(&board, "e")->image, 0, buf, 512), 0);
	assert_int_equal(drives_flush(&board), 0);
	assert_int_equal(drives_close(&board), 0);
	int fd = open(path, O_RDONLY);

	assert_int_equal(read(fd, buf, 512), 512);
	assert_int_equal(buf[0], 0);
	close(fd);
	fd = open(other, O_RDONLY);
	assert_int_equal(read(fd, buf, 512), 512);
	assert_int_equal(buf[0], 1);
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(places_when_not_said_expect_qemus),
		T(drives_when_wrong_expect_a_sentence),
		T(blockdev_when_in_parts_expect_one_drive),
		T(blockdev_when_json_expect_the_same_drive),
		T(blockdev_when_discards_are_said_expect_both_asked),
		T(blockdev_when_wrong_expect_a_sentence),
		T(device_when_it_names_a_drive_expect_it_once),
		T(check_when_nobody_shows_a_drive_expect_a_sentence),
		T(snapshot_when_asked_expect_files_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
