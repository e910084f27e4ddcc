// SPDX-License-Identifier: GPL-2.0-or-later
/* The control thread and its clients, with a machine on an engine made of C functions. Run: make t T=control/server */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "../machine/fake_engine.h"
#include "base/clock.h"
#include "control/server.h"
#include "machine/board_int.h"
#include "machine/vm_int.h"

#define BIOS_BYTES 0x40000u

static struct lodge_err err;
static struct vm *vm;
static struct control *ctl;
static char bios[64];

static int setup(void **state)
{
	struct vm_config cfg = {.engine = &fake_engine, .ram_bytes = 16 << 20, .cpus = 2, .name = "unit"};
	uint8_t *rom = calloc(1, BIOS_BYTES);
	int fd;

	strcpy(bios, "/tmp/lodge-control-XXXXXX");
	fd = mkstemp(bios);
	if (fd < 0 || write(fd, rom, BIOS_BYTES) != BIOS_BYTES)
		return -1;
	close(fd);
	free(rom);
	cfg.bios = bios;
	vm = vm_new(&cfg, &err);
	ctl = vm ? control_new(vm, &err) : NULL;
	if (!ctl || vm_start(vm, &err) || control_start(ctl, &err))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	control_stop(ctl);
	vm_stop(vm);
	control_free(ctl);
	vm_free(vm);
	unlink(bios);
	return 0;
}

/* A client: its end of a socket pair. */
static int client(enum mon_mode mode)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	control_add(ctl, pair[1], mode);
	return pair[0];
}

/* Read until `want` has come; false at the end or after 5 s. */
static bool wait_for(int fd, const char *want)
{
	static char text[1 << 20];
	size_t len = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		text[len] = '\0';
		if (strstr(text, want))
			return true;
		if (len == sizeof(text) - 1 || poll(&p, 1, 5000) <= 0)
			return false;
		n = recv(fd, text + len, 1, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
	}
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static int ready_client(void)
{
	int fd = client(MON_QMP);

	assert_true(wait_for(fd, "\"capabilities\": []}}\r\n"));
	put(fd, "{\"execute\":\"qmp_capabilities\"}");
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	return fd;
}

static void command_when_in_pieces_expect_its_reply_with_id(void **state)
{
	static const char cmd[] = "{\"execute\": \"query-name\", \"id\": {\"n\": [1]}}";
	int fd = ready_client();

	for (const char *c = cmd; *c; c++) {
		char one[2] = {*c};

		put(fd, one);
	}
	assert_true(wait_for(fd, "{\"return\": {\"name\": \"unit\"}, \"id\": {\"n\": [1]}}\r\n"));
	close(fd);
}

/* A sentence may cut what a client wrote inside a character. */
static void error_when_cut_in_a_character_expect_it_all_the_same(void **state)
{
	char cmd[200] = "{\"execute\":\"set_link\",\"arguments\":{\"up\":true,\"name\":\"x";
	int fd = ready_client();

	for (unsigned i = 0; i < 40; i++)
		strcat(cmd, "\xc3\xa9");
	strcat(cmd, "\"}}");
	put(fd, cmd);
	assert_true(wait_for(fd, "?' not found\"}}\r\n"));
	close(fd);
}

static void stop_when_asked_expect_event_before_reply_and_clock_still(void **state)
{
	uint64_t before = clock_vm_ns();
	uint64_t off = fake->cpu[1].state.tsc_offset;
	int fd = ready_client();

	put(fd, "{\"execute\":\"stop\"}");
	assert_true(wait_for(fd, "\"event\": \"STOP\"}\r\n"));
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	before = clock_vm_ns();
	usleep(50000);
	assert_int_equal(clock_vm_ns(), before);
	put(fd, "{\"execute\":\"query-status\"}");
	assert_true(wait_for(fd, "\"status\": \"paused\""));
	put(fd, "{\"execute\":\"cont\"}");
	assert_true(wait_for(fd, "\"event\": \"RESUME\"}\r\n"));
	assert_true(clock_vm_ns() - before < 40000000);
	/* 50 ms and more of the host's TSC are not the guest's. */
	assert_true(off - fake->cpu[1].state.tsc_offset > 10000000);
	assert_int_equal(fake->cpu[0].state.tsc_offset, fake->cpu[1].state.tsc_offset);
	close(fd);
}

static void stop_when_reset_meanwhile_expect_guest_tsc_from_zero(void **state)
{
	struct pollfd p = {.fd = vm_event_fd(vm), .events = POLLIN};
	struct vm_end end;
	int fd = ready_client();

	put(fd, "{\"execute\":\"stop\"}");
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	usleep(20000);
	put(fd, "{\"execute\":\"system_reset\"}");
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_false(vm_service(vm, &end));
	assert_true(wait_for(fd, "\"reason\": \"host-qmp-system-reset\""));
	assert_int_equal(vm_ctl_state(vm), VM_PAUSED);
	usleep(20000);
	put(fd, "{\"execute\":\"cont\"}");
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	/* Behind zero it would look like a long time. */
	assert_true(vm_host_tsc(vm) + fake->cpu[0].state.tsc_offset < 1ull << 40);
	close(fd);
}

static void service(void)
{
	struct pollfd p = {.fd = vm_event_fd(vm), .events = POLLIN};
	struct vm_end end;

	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_false(vm_service(vm, &end));
}

/* A guest without ACPI never lets a card go; its reset does. */
static void card_when_asked_to_go_expect_it_gone_by_eject_or_reset(void **state)
{
	static const char add[] = "{\"execute\":\"device_add\",\"arguments\":{\"driver\":"
				  "\"virtio-rng-pci\",\"id\":\"r\",\"addr\":\"4\"}}";
	static const char del[] = "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"r\"}}";
	int fd = ready_client();

	put(fd, add);
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	assert_int_equal(pci_config_read(vm->board->pci, 4 << 3, 0, 2), 0x1af4);
	assert_int_equal(fake_in(0, 0xae00, 4), 1 << 4);
	put(fd, add);
	assert_true(wait_for(fd, "taken"));
	/* An eject that nobody asked for is not heard. */
	fake_out(0, 0xae08, 1 << 4, 4);
	put(fd, del);
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	assert_int_equal(fake_in(0, 0xae04, 4), 1 << 4);
	assert_int_equal(pci_config_read(vm->board->pci, 4 << 3, 0, 2), 0x1af4);
	fake_out(0, 0xae08, 1 << 4, 4);
	assert_true(wait_for(fd, "\"DEVICE_DELETED\", \"data\": {\"device\": \"r\""));
	assert_int_equal(pci_config_read(vm->board->pci, 4 << 3, 0, 2), 0xffff);
	put(fd, add);
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	put(fd, del);
	assert_true(wait_for(fd, "{\"return\": {}}\r\n"));
	put(fd, "{\"execute\":\"system_reset\"}");
	service();
	assert_true(wait_for(fd, "\"DEVICE_DELETED\""));
	assert_int_equal(pci_config_read(vm->board->pci, 4 << 3, 0, 2), 0xffff);
	put(fd, del);
	assert_true(wait_for(fd, "\"class\": \"DeviceNotFound\""));
	close(fd);
}

static void quit_when_asked_expect_reply_and_reason(void **state)
{
	struct pollfd p = {.fd = vm_event_fd(vm), .events = POLLIN};
	char text[4096] = "";
	struct vm_end end;
	size_t len = 0;
	ssize_t n;
	int fd = ready_client();

	put(fd, "{\"execute\":\"quit\"}");
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_true(vm_service(vm, &end));
	control_stop(ctl);
	/* In either order: the end is main's. */
	while (len < sizeof(text) - 1 && (n = recv(fd, text + len, 1, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	assert_non_null(strstr(text, "{\"return\": {}}\r\n"));
	assert_non_null(strstr(text, "\"reason\": \"host-qmp-quit\""));
	close(fd);
}

static void client_when_it_reads_nothing_expect_it_stopped_and_others_served(void **state)
{
	static const char ask[] = "{\"execute\":\"query-commands\"}";
	int deaf = ready_client(), good = ready_client();
	size_t sent = 0;

	fcntl(deaf, F_SETFL, O_NONBLOCK);
	/* Its own output fills; then its input is no longer read. */
	for (unsigned idle = 0; idle < 50;) {
		ssize_t n = send(deaf, ask, sizeof(ask) - 1, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		if (n <= 0)
			usleep(10000);
	}
	assert_true(sent < 8 << 20);
	put(good, "{\"execute\":\"query-status\"}");
	assert_true(wait_for(good, "\"running\": true"));
	close(deaf);
	close(good);
}

/* Events for one that reads none end in a hang-up, and the memory is given back. */
static void client_when_events_pile_up_expect_it_given_up(void **state)
{
	const struct vm_event ev = {.kind = VM_EVENT_POWERDOWN};
	int deaf = ready_client(), good = ready_client();
	char buf[65536];
	ssize_t n;

	for (unsigned i = 0; i < 120000; i++) {
		vm_tell(vm, &ev);
		if (i % 16 == 0) {
			while (recv(good, buf, sizeof(buf), MSG_DONTWAIT) > 0)
				;
			usleep(1);
		}
	}
	put(good, "{\"execute\":\"query-status\"}");
	assert_true(wait_for(good, "\"running\": true"));
	/* What was on its way comes, then the end: all of it a few megabytes. */
	size_t got = 0;

	for (;;) {
		struct pollfd p = {.fd = deaf, .events = POLLIN};

		if (poll(&p, 1, 300) <= 0)
			break;
		n = recv(deaf, buf, sizeof(buf), 0);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	assert_true(got < 8 << 20);
	close(deaf);
	close(good);
}

static void clients_when_too_many_expect_the_rest_hung_up(void **state)
{
	int fd[CONTROL_CLIENTS_MAX + 4];
	unsigned served = 0;

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX + 4; i++) {
		fd[i] = client(MON_QMP);
		served += wait_for(fd[i], "\"capabilities\": []}}\r\n");
	}
	assert_int_equal(served, CONTROL_CLIENTS_MAX);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX + 4; i++)
		close(fd[i]);
}

static void hmp_when_typed_expect_echo_edit_and_answers(void **state)
{
	int fd = client(MON_HMP_ECHO);

	assert_true(wait_for(fd, "(qemu) "));
	put(fd, "info nbmf\b\b\bame\r");
	assert_true(wait_for(fd, "unit\r\n(qemu) "));
	put(fd, "rubbish\x15");
	put(fd, "info \"status\"\r\n");
	assert_true(wait_for(fd, "VM status: running\r\n(qemu) "));
	put(fd, "info \"status\r");
	assert_true(wait_for(fd, "Error: a quote does not end"));
	put(fd, "stop now\r");
	assert_true(wait_for(fd, "Error: write it as: stop"));
	close(fd);
}

static void hmp_when_line_is_endless_expect_one_error(void **state)
{
	char x[1024];
	int fd = client(MON_HMP);

	assert_true(wait_for(fd, "(qemu) "));
	memset(x, 'x', sizeof(x) - 1);
	x[sizeof(x) - 1] = '\0';
	for (unsigned i = 0; i < 100; i++)
		put(fd, x);
	put(fd, "\ninfo name\n");
	assert_true(wait_for(fd, "Error: the command is too long\r\n(qemu) unit\r\n(qemu) "));
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(command_when_in_pieces_expect_its_reply_with_id),
		T(error_when_cut_in_a_character_expect_it_all_the_same),
		T(stop_when_asked_expect_event_before_reply_and_clock_still),
		T(stop_when_reset_meanwhile_expect_guest_tsc_from_zero),
		T(card_when_asked_to_go_expect_it_gone_by_eject_or_reset),
		T(quit_when_asked_expect_reply_and_reason),
		T(client_when_it_reads_nothing_expect_it_stopped_and_others_served),
		T(client_when_events_pile_up_expect_it_given_up),
		T(clients_when_too_many_expect_the_rest_hung_up),
		T(hmp_when_typed_expect_echo_edit_and_answers),
		T(hmp_when_line_is_endless_expect_one_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
