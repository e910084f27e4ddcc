// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VNC viewer that decodes what it gets and shows it to nobody, for bench/screen.py.
 *
 * usage: viewer PORT ENCODINGS QUALITY     on 127.0.0.1; quality -1: no JPEG
 *
 * Each line on its standard input is answered with how many updates came since the last one, and how many pictures
 * they make by their area. It ends with its input. Source: rfb/rfbclient.h of libvncserver 0.9.14.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rfb/rfbclient.h>

static double area;
static unsigned long updates;

static void got(rfbClient *c, int x, int y, int w, int h)
{
	(void)x;
	(void)y;
	area += (double)w * h / ((double)c->width * c->height);
}

static void finished(rfbClient *c)
{
	(void)c;
	updates++;
}

static void quiet(const char *format, ...)
{
	(void)format;
}

int main(int argc, char **argv)
{
	rfbClient *c = rfbGetClient(8, 3, 4);
	char line[64];

	if (argc != 4 || !c)
		return 2;
	rfbClientLog = rfbClientErr = quiet;
	c->serverHost = strdup("127.0.0.1");
	c->serverPort = atoi(argv[1]);
	c->appData.encodingsString = argv[2];
	c->appData.qualityLevel = atoi(argv[3]) < 0 ? 5 : atoi(argv[3]);
	c->appData.enableJPEG = atoi(argv[3]) >= 0;
	c->appData.compressLevel = 1;
	c->canHandleNewFBSize = TRUE;
	c->GotFrameBufferUpdate = got;
	c->FinishedFrameBufferUpdate = finished;
	if (!rfbInitClient(c, NULL, NULL))
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	for (;;) {
		struct pollfd p[2] = {{.fd = 0, .events = POLLIN},
				      {.fd = c->sock, .events = POLLIN}};

		if (poll(p, 2, -1) < 0)
			return 1;
		if (p[0].revents) {
			if (!fgets(line, sizeof(line), stdin))
				return 0;
			printf("%lu %.3f\n", updates, area);
			updates = 0;
			area = 0;
		}
		if (p[1].revents || c->buffered) {
			do {
				if (!HandleRFBServerMessage(c))
					return 1;
			} while (c->buffered);
		}
	}
}
