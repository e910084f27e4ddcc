# SPDX-License-Identifier: GPL-2.0-or-later
# OpenSSL with the processor's instructions for it, and without (OPENSSL_ia32cap masks them).
cd /tmp || exit 1
python3 -c '
import random
random.seed(5)
import sys
sys.stdout.buffer.write(random.randbytes(3000001))' >data
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
iv=0f0e0d0c0b0a09080706050403020100
# all; no AES-NI, PCLMULQDQ, AVX; nor SHA, AVX2, BMI; nor SSSE3
for cap in "" "~0x1200020200000000" "~0x1200028200000000:~0x20000128"; do
	[ -n "$cap" ] && export OPENSSL_ia32cap=$cap
	echo "cap $cap"
	for d in md5 sha1 sha256 sha512 sha3-256 blake2b512 sm3 ripemd160; do
		openssl dgst -$d data 2>&1
	done
	for c in aes-128-cbc aes-256-cbc aes-256-ctr camellia-256-cbc chacha20 aria-256-ctr; do
		k=$key
		case $c in
		*128*) k=000102030405060708090a0b0c0d0e0f ;;
		esac
		openssl enc -$c -K $k -iv $iv -in data -out data.enc || echo "failed"
		sha256sum <data.enc
		openssl enc -d -$c -K $k -iv $iv -in data.enc | cmp - data && echo "$c back"
	done
	openssl dgst -mac hmac -macopt key:soak -sha256 data
done
unset OPENSSL_ia32cap
openssl genrsa -out rsa.pem 2048 2>/dev/null && openssl dgst -sha256 -sign rsa.pem -out sig data &&
	openssl rsa -in rsa.pem -pubout -out pub.pem 2>/dev/null &&
	openssl dgst -sha256 -verify pub.pem -signature sig data
for curve in prime256v1 secp384r1 secp521r1; do
	openssl ecparam -name $curve -genkey -noout -out ec.pem &&
		openssl dgst -sha256 -sign ec.pem -out sig data &&
		openssl ec -in ec.pem -pubout -out pub.pem 2>/dev/null &&
		openssl dgst -sha256 -verify pub.pem -signature sig data
done
openssl genpkey -algorithm ed25519 -out ed.pem && openssl pkeyutl -sign -inkey ed.pem -rawin -in ed.pem -out sig &&
	openssl pkeyutl -verify -inkey ed.pem -rawin -in ed.pem -sigfile sig
rm -f data data.enc sig ./*.pem
