#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run programs of this folder and say what came out; the same in the guest and in the root on the
# host. usage: run.sh NAME.js NAME.py NAME.sh …
# Output of each: "@@begin NAME", its first lines as "| …", "@@end NAME STATUS SUM SECONDS".
cd /soak || exit 1
export LC_ALL=C PYTHONHASHSEED=0 PERL_HASH_SEED=0
unset LANG LANGUAGE
java=/usr/lib/jvm/java-17-openjdk-amd64/bin/java
for p in "$@"; do
	out=/tmp/out.$p
	echo "@@begin $p"
	start=$(cut -d' ' -f1 /proc/uptime)
	case $p in
	*.js) timeout 900 node "$p" ;;
	*.py) timeout 900 python3 "$p" ;;
	*.pl) timeout 900 perl "$p" ;;
	*.sql) timeout 900 sqlite3 :memory: <"$p" ;;
	*.java) timeout 900 $java -Xshare:auto "$p" ;;
	*) timeout 900 sh "$p" ;;
	esac >"$out" 2>"$out.err" </dev/null
	status=$?
	end=$(cut -d' ' -f1 /proc/uptime)
	head -60 "$out" | sed 's/^/| /'
	head -20 "$out.err" | sed 's/^/! /'
	sum=$(sha256sum <"$out" | cut -c1-16)
	echo "@@end $p $status $sum $(echo "$end $start" | awk '{ printf "%.2f", $1 - $2 }')"
	rm -rf "$out" "$out.err"
done
