// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In the guest: streams by vsock, for test_virtio.py. Linked statically.
 *   vsocktool echo PORT      take one stream after another, send back what comes
 *   vsocktool cat PORT       connect to the host; standard input there, what comes to standard output
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static void copy(int from, int to)
{
	static char buf[70000];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0) {
		for (ssize_t done = 0, put; done < n; done += put) {
			put = write(to, buf + done, (size_t)(n - done));
			if (put <= 0)
				return;
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (argc < 3 || fd < 0) {
		perror("vsocktool");
		return 2;
	}
	a.svm_port = (unsigned)atoi(argv[2]);
	if (!strcmp(argv[1], "cat")) {
		a.svm_cid = VMADDR_CID_HOST;
		if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
			perror("vsocktool: connect");
			return 1;
		}
		copy(0, fd);
		shutdown(fd, SHUT_WR);
		copy(fd, 1);
		return 0;
	}
	a.svm_cid = VMADDR_CID_ANY;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 8)) {
		perror("vsocktool: listen");
		return 1;
	}
	puts("vsocktool: ready");
	fflush(stdout);
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			return 1;
		copy(c, c);
		close(c);
	}
}
