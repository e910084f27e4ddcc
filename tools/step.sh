# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the other scripts: step "What is going on" COMMAND…
# On a terminal a spinner with the seconds so far, otherwise one line at the start and one at the
# end. The command's output goes to a log, which is shown when it fails.

STEP_LOG=${STEP_LOG:-build/step.log}

step() {
	_what=$1
	shift
	mkdir -p "$(dirname "$STEP_LOG")"
	_t0=$(date +%s)
	if [ -t 2 ]; then
		step_spin "$@"
	else
		echo "$_what ..." >&2
		_rc=0
		"$@" >"$STEP_LOG" 2>&1 </dev/null || _rc=$?
	fi
	_secs=$(($(date +%s) - _t0))
	if [ "$_rc" -ne 0 ]; then
		echo "$_what: failed after $_secs s; the end of its output:" >&2
		tail -n 40 "$STEP_LOG" >&2
		return "$_rc"
	fi
	echo "$_what: done, $_secs s" >&2
}

step_spin() {
	"$@" >"$STEP_LOG" 2>&1 </dev/null &
	_pid=$!
	trap 'kill "$_pid" 2>/dev/null; printf "\r\033[K" >&2; exit 130' INT TERM
	_i=0
	while kill -0 "$_pid" 2>/dev/null; do
		_i=$(((_i + 1) % 4))
		_c=$(printf '|/-\\' | cut -c $((_i + 1)))
		printf '\r\033[K%s %s %s s' "$_c" "$_what" "$(($(date +%s) - _t0))" >&2
		sleep 0.3
	done
	trap - INT TERM
	_rc=0
	wait "$_pid" || _rc=$?
	printf '\r\033[K' >&2
}
