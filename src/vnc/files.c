// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page's files. See files.h. noVNC is some forty modules that import each other, which a browser finds out one
 * after the other; the page names all of them at its beginning, so that they come at once.
 * Source: noVNC's docs/LIBRARY.md; HTML standard, link type "modulepreload". Threads: the owner's.
 */
#include "vnc/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/range.h"

#define FILE_BYTES_MAX (4u << 20)
#define NOVNC "novnc/"
#define SCREEN NOVNC "core/rfb.js" /* what the page imports */
#define MARK "<!-- early -->"

/* page.html and page.js, as they are in the source. */
extern const char vnc_page_html[], vnc_page_html_end[], vnc_page_js[], vnc_page_js_end[];
#define EMBED(name, file)                                                            \
	__asm__(".section .rodata\n.global " #name "\n.global " #name "_end\n" #name \
		":\n.incbin \"" file "\"\n" #name "_end:\n.byte 0\n.previous\n")
EMBED(vnc_page_html, "src/vnc/page.html");
EMBED(vnc_page_js, "src/vnc/page.js");

static const char *type_of(const char *path)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{".js", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".html", "text/html; charset=utf-8"},
		{".json", "application/json"},
	};
	size_t n = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		size_t e = strlen(types[i].end);

		if (n > e && !strcmp(path + n - e, types[i].end))
			return types[i].type;
	}
	return "application/octet-stream";
}

/* ---- Reading ------------------------------------------------------------------------------------ */

/* `bytes` is taken. */
static int add(struct vnc_files *f, const char *path, uint8_t *bytes, size_t len,
	       struct lodge_err *err)
{
	struct vnc_file *to = &f->file[f->n];

	if (!bytes || f->n == VNC_FILES_MAX || strlen(path) >= sizeof(to->path)) {
		free(bytes);
		return err_set(err, -ENOMEM, "no room for the page's file '%s'", path);
	}
	*to = (struct vnc_file){.type = type_of(path), .bytes = bytes, .len = len};
	snprintf(to->path, sizeof(to->path), "%s", path);
	f->n++;
	return 0;
}

static int read_file(struct vnc_files *f, int dir, const char *name, const char *path,
		     struct lodge_err *err)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	uint8_t *bytes = NULL;
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= FILE_BYTES_MAX) {
		bytes = malloc((size_t)st.st_size + 1);
		n = bytes ? read(fd, bytes, (size_t)st.st_size) : -1;
	}
	if (fd >= 0)
		close(fd);
	if (n < 0 || n != st.st_size) {
		free(bytes);
		return err_set(err, -EIO, "cannot read the page's file '%s'", path);
	}
	return add(f, path, bytes, (size_t)n, err);
}

static int read_folder(struct vnc_files *f, int at, const char *name, const char *path,
		       unsigned deep, struct lodge_err *err)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	char sub[512];

	if (!d)
		return err_set(err, -ENOENT,
			       "there is no '%s': install Debian's package novnc "
			       "(--no-install-recommends), or name a folder with novnc=",
			       path);
	while (!r && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR && deep)
			r = read_folder(f, dirfd(d), e->d_name, sub, deep - 1, err);
		else if (e->d_type == DT_REG)
			r = read_file(f, dirfd(d), e->d_name, sub, err);
	}
	closedir(d);
	return r;
}

static int open_folder(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int read_novnc(struct vnc_files *f, const char *novnc, struct lodge_err *err)
{
	int dir = open_folder(novnc ? novnc : "/usr/share/novnc"), r;

	if (dir < 0 && !novnc)
		dir = open_folder("/usr/local/lib/node_modules/@novnc/novnc");
	r = read_folder(f, dir, "core", NOVNC "core", 3, err);
	if (!r)
		r = read_folder(f, dir, "vendor", NOVNC "vendor", 5, err);
	if (dir >= 0)
		close(dir);
	return r;
}

/* The terminal is one script and one style, as its npm package has them, or side by side. */
static int read_xterm(struct vnc_files *f, const char *xterm, struct lodge_err *err)
{
	static const char *const layouts[][2] = {{"lib/xterm.js", "css/xterm.css"},
						 {"xterm.js", "xterm.css"}};
	int dir = open_folder(xterm ? xterm : "/usr/local/lib/node_modules/@xterm/xterm");

	for (size_t i = 0; dir >= 0 && i < ARRAY_SIZE(layouts); i++) {
		struct lodge_err ignored;

		if (faccessat(dir, layouts[i][0], R_OK, 0))
			continue;
		if (!read_file(f, dir, layouts[i][0], "xterm/xterm.js", &ignored) &&
		    !read_file(f, dir, layouts[i][1], "xterm/xterm.css", &ignored)) {
			close(dir);
			return 0;
		}
	}
	if (dir >= 0)
		close(dir);
	return !xterm ? 0
		      : err_set(err, -ENOENT,
				"xterm=%s: there is no lib/xterm.js with css/xterm.css; "
				"'npm install @xterm/xterm' makes such a folder",
				xterm);
}

/* ---- What the page needs ------------------------------------------------------------------------ */

/* `rel` as a module of `from` writes it, "./x.js" or "../x.js". NULL: no file of ours. */
static struct vnc_file *resolve(struct vnc_files *f, const struct vnc_file *from, const char *rel,
				size_t len)
{
	char path[sizeof(from->path)];
	size_t at = strlen(from->path);

	memcpy(path, from->path, at + 1);
	while (at && path[at - 1] != '/')
		at--;
	while (len > 2 && rel[0] == '.') {
		bool up = rel[1] == '.';

		if (up) {
			at -= at > 0;
			while (at && path[at - 1] != '/')
				at--;
		}
		if (rel[up ? 2 : 1] != '/')
			return NULL;
		rel += up ? 3 : 2;
		len -= up ? 3 : 2;
	}
	if (len >= sizeof(path) - at)
		return NULL;
	memcpy(path + at, rel, len);
	path[at + len] = '\0';
	return (struct vnc_file *)(uintptr_t)vnc_files_find(f, path);
}

/* Each `from "PATH"` in a module; what is none of ours, as in a comment, means nothing. */
static void mark_imports(struct vnc_files *f, const struct vnc_file *module)
{
	static const char word[] = "from";
	const char *p = (const char *)module->bytes, *end = p + module->len;

	while ((p = memmem(p, (size_t)(end - p), word, sizeof(word) - 1))) {
		const char *stop;
		struct vnc_file *to;

		p += sizeof(word) - 1;
		while (p < end && *p == ' ')
			p++;
		if (p == end || (*p != '"' && *p != '\''))
			continue;
		stop = memchr(p + 1, *p, (size_t)(end - p - 1));
		if (!stop)
			return;
		to = resolve(f, module, p + 1, (size_t)(stop - p - 1));
		if (to)
			to->early = true;
		p = stop;
	}
}

/* All that is imported, by whatever is. */
static void mark_early(struct vnc_files *f)
{
	bool done[VNC_FILES_MAX] = {false}, again = true;
	struct vnc_file *first = (struct vnc_file *)(uintptr_t)vnc_files_find(f, SCREEN);

	if (first)
		first->early = true;
	while (again) {
		again = false;
		for (unsigned i = 0; i < f->n; i++) {
			if (!f->file[i].early || done[i])
				continue;
			done[i] = again = true;
			mark_imports(f, &f->file[i]);
		}
	}
}

/* page.html with a line for each of them. */
static int add_page(struct vnc_files *f, struct lodge_err *err)
{
	size_t len = (size_t)(vnc_page_html_end - vnc_page_html), size = len + 1;
	const char *mark = memmem(vnc_page_html, len, MARK, sizeof(MARK) - 1);
	char *text, *to;
	int r;

	for (unsigned i = 0; i < f->n; i++)
		size += sizeof(f->file[i].path) + 64;
	text = malloc(size);
	if (!text || !mark) {
		free(text);
		return err_set(err, -ENOMEM, "no memory for the page");
	}
	memcpy(text, vnc_page_html, (size_t)(mark - vnc_page_html));
	to = text + (mark - vnc_page_html);
	for (unsigned i = 0; i < f->n; i++) {
		/* A name that would be no name in a page is not told. */
		if (f->file[i].early && !strpbrk(f->file[i].path, "\"<>&"))
			to += sprintf(to, "<link rel=\"modulepreload\" href=\"%s\">\n",
				      f->file[i].path);
	}
	mark += sizeof(MARK) - 1;
	memcpy(to, mark, (size_t)(vnc_page_html_end - mark));
	to += vnc_page_html_end - mark;
	r = add(f, "", (uint8_t *)text, (size_t)(to - text), err);
	if (!r)
		f->file[f->n - 1].type = "text/html; charset=utf-8";
	return r;
}

static int add_script(struct vnc_files *f, struct lodge_err *err)
{
	size_t len = (size_t)(vnc_page_js_end - vnc_page_js);
	uint8_t *bytes = malloc(len + 1);

	if (bytes)
		memcpy(bytes, vnc_page_js, len);
	return add(f, "page.js", bytes, len, err);
}

int vnc_files_read(struct vnc_files *f, const char *novnc, const char *xterm, struct lodge_err *err)
{
	int r = read_novnc(f, novnc, err);

	if (!r)
		r = read_xterm(f, xterm, err);
	if (r)
		return r;
	mark_early(f);
	r = add_script(f, err);
	return r ? r : add_page(f, err);
}

const struct vnc_file *vnc_files_find(const struct vnc_files *f, const char *path)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (!strcmp(f->file[i].path, path))
			return &f->file[i];
	}
	return NULL;
}
