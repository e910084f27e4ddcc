// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-vsock, with host programs that say anything: make t T=fuzz/virtio_vsock */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "device_harness.h"
#include "fake_watch.h"
#include "virtio_harness.h"
#include "devices/virtio/virtio_vsock.h"

#define CLIENTS 4u
#define PORT 6000u

static char path[64], port_path[80];
static int listener = -1;

struct target {
	struct virtio_vsock *s;
	int client[CLIENTS];
};

static struct sockaddr_un address(const char *text)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	strcpy(sun.sun_path, text);
	return sun;
}

static void leave(void)
{
	unlink(port_path);
}

static void enter(void)
{
	struct sockaddr_un sun;

	snprintf(path, sizeof(path), "/tmp/lodge-fuzz-vsock-%d", (int)getpid());
	snprintf(port_path, sizeof(port_path), "%s_%u", path, PORT);
	sun = address(port_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	FUZZ_CHECK(!bind(listener, (struct sockaddr *)&sun, sizeof(sun)) && !listen(listener, 8));
	atexit(leave);
}

/* A host program comes, speaks, listens, goes. */
static void event(void *opaque, struct fuzz_in *in)
{
	static const char *const words[] = {"CONNECT 1\n", "CONNECT 2\n", "CONNECT", " 3\n", "x\n"};
	struct target *t = opaque;
	struct sockaddr_un sun = address(path);
	uint8_t how = fuzz_u8(in);
	int *fd = &t->client[how & (CLIENTS - 1)];
	static uint8_t buf[8192];

	switch (how >> 2 & 7) {
	case 0:
		if (*fd < 0) {
			*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
			if (connect(*fd, (struct sockaddr *)&sun, sizeof(sun))) {
				close(*fd);
				*fd = -1;
			}
		}
		break;
	case 1:
		if (*fd < 0)
			*fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		break;
	case 2:
	case 3:
		if (*fd >= 0)
			send(*fd, words[(how >> 5) % 5], strlen(words[(how >> 5) % 5]),
			     MSG_NOSIGNAL);
		break;
	case 4:
		if (*fd >= 0)
			send(*fd, buf, 32u * fuzz_u8(in), MSG_NOSIGNAL);
		break;
	case 5:
		if (*fd >= 0)
			recv(*fd, buf, sizeof(buf), 0);
		break;
	case 6:
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		break;
	default:
		if (*fd >= 0)
			shutdown(*fd, how >> 5 & 1);
		break;
	}
	/* It settles: nothing is called without end. */
	FUZZ_CHECK(fake_watch_poll(5000) < 5000);
	FUZZ_CHECK(virtio_vsock_streams(t->s) <= VIRTIO_VSOCK_STREAMS);
}

static void header(void *opaque, struct fuzz_in *in, unsigned q, uint8_t *p)
{
	static const uint32_t host_ports[] = {PORT, 0x40000001, 0x40000002, 0x40000003};
	uint8_t how = fuzz_u8(in);

	memset(p, 0, 64);
	st_le64(p, 3);
	st_le64(p + 8, 2);
	st_le32(p + 16, how & 3);
	st_le32(p + 20, host_ports[how >> 2 & 3]);
	st_le32(p + 24, fuzz_u8(in));
	st_le16(p + 28, 1);
	st_le16(p + 30, how >> 4 & 7);
	st_le32(p + 32, how >> 6);
	st_le32(p + 36, how & 128 ? 65536 : fuzz_u8(in));
	st_le32(p + 40, fuzz_u8(in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	struct target t;
	struct virtio_vsock_config cfg = {
		.virtio = {.devfn = DRV_DEVFN, .loop = fake_begin()},
		.guest_cid = 3,
		.path = path,
	};

	if (listener < 0)
		enter();
	drv_init(&f.d);
	cfg.virtio.bus = f.d.pb;
	cfg.virtio.mem = f.d.mem;
	t.s = virtio_vsock_new(&cfg, NULL);
	FUZZ_CHECK(t.s);
	for (unsigned i = 0; i < CLIENTS; i++)
		t.client[i] = -1;
	f.v = (struct virtio_dev *)virtio_vsock_device(t.s);
	f.device_id = 0x1012;
	f.event = event;
	f.header = header;
	f.header_bytes = 44;
	f.opaque = &t;
	fuzz_virtio_run(&in, &f);
	virtio_vsock_free(t.s);
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (t.client[i] >= 0)
			close(t.client[i]);
	}
	FUZZ_CHECK(list_empty(&fake_watches));
	/* Those nobody accepted. */
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;)
		close(fd);
	drv_free(&f.d);
	return 0;
}
