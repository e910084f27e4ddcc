# SPDX-License-Identifier: GPL-2.0-or-later
# gcc on a generated program at several levels; sums of the objects, the linked program's output.
cd /tmp || exit 1
python3 /soak/gen_c.py 45 >gen.c
sha256sum gen.c
for o in -O0 -O1 -O2 "-O3 -march=haswell" "-Os -g" "-O2 -m32 -ffreestanding" "-O2 -fPIC -fsanitize=undefined"; do
	# shellcheck disable=SC2086
	gcc $o -c -o gen.o gen.c && echo "$o $(sha256sum <gen.o)"
	case $o in
	-O?) gcc -o gen gen.o -lm && ./gen && sha256sum <gen ;;
	esac
done
gcc -O1 -S -o - gen.c | sha256sum
gcc -E -dM - </dev/null | sort | sha256sum
as --version | head -1
objdump -d gen | sed 1,3d | sha256sum
rm -f gen gen.c gen.o
