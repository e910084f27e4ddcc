#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Install the packages of a list (tools/packages.txt) that are missing, through apt-get.
# usage: deps.sh [LIST]
set -eu
cd "$(dirname "$0")/.."
list=${1:-tools/packages.txt}
STEP_LOG=build/deps.log
. tools/step.sh

missing=
set -f # a '?' is no wildcard
for p in $(sed 's/#.*//' "$list"); do
	case $p in
	*\?)
		p=${p%\?}
		! command -v "$p" >/dev/null || continue
		;;
	esac
	state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $p"
done
set +f
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps: there is no apt-get here; install what these Debian packages hold by hand:$missing" >&2
	exit 1
fi
root=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "deps: packages are missing; run this as root: apt-get install$missing" >&2
		exit 1
	fi
	sudo -v # asks for the password before output goes to a log
	root=sudo
fi

install() {
	# shellcheck disable=SC2086
	$root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends $missing
}
update() {
	$root apt-get update -q
}
# Package lists may be missing or out of date; then fetch them and try again.
update_install() {
	install || { update && install; }
}
step "Installing$missing" update_install
