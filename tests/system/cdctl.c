// SPDX-License-Identifier: GPL-2.0-or-later
/* In the guest: open or close the tray of a CD drive. usage: cdctl DEVICE eject|close|lock|unlock */
#include <fcntl.h>
#include <linux/cdrom.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_RDONLY | O_NONBLOCK) : -1, r = -1;

	if (fd < 0)
		return 2;
	if (!strcmp(argv[2], "eject"))
		r = ioctl(fd, CDROMEJECT);
	else if (!strcmp(argv[2], "close"))
		r = ioctl(fd, CDROMCLOSETRAY);
	else if (!strcmp(argv[2], "lock"))
		r = ioctl(fd, CDROM_LOCKDOOR, 1);
	else if (!strcmp(argv[2], "unlock"))
		r = ioctl(fd, CDROM_LOCKDOOR, 0);
	if (r < 0)
		perror(argv[2]);
	return r < 0;
}
