// SPDX-License-Identifier: GPL-2.0-or-later
/* Pictures in memory. See picture.h. Threads: the owner's. */
#include "display/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

int display_picture_size(struct display_picture *pic, uint32_t width, uint32_t height)
{
	uint64_t need = (uint64_t)width * height;
	uint32_t *px;

	if (!width || !height || width > DISPLAY_SIZE_MAX || height > DISPLAY_SIZE_MAX)
		return -EINVAL;
	if (need > pic->room) {
		px = malloc(need * sizeof(*px));
		if (!px)
			return -ENOMEM;
		free(pic->px);
		pic->px = px;
		pic->room = need;
	}
	pic->width = width;
	pic->height = height;
	return 0;
}

int display_picture_blank(struct display_picture *pic)
{
	int r = pic->px ? 0 : display_picture_size(pic, 640, 480);

	if (!r)
		memset(pic->px, 0, (uint64_t)pic->width * pic->height * sizeof(*pic->px));
	return r;
}

void display_picture_free(struct display_picture *pic)
{
	free(pic->px);
	*pic = (struct display_picture){0};
}
