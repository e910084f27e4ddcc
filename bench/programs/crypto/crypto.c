// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lodge-crypto WHAT COUNT: so much of sha256, md5, aes (blocks of 16 KiB) or rsa (signatures by
 * 2048 bits) with Debian's libcrypto; prints the last result. As `openssl speed`, but a fixed amount.
 * lodge-crypto keygen: prints a new private key, which /bench/key.pem holds in the benchmark's root.
 */
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 16384
#define KEY "/bench/key.pem"

static unsigned char block[BLOCK];

static void check(int good, const char *what)
{
	if (good > 0)
		return;
	fprintf(stderr, "lodge-crypto: %s failed\n", what);
	exit(1);
}

static void show(const unsigned char *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%02x", data[i]);
	printf("\n");
}

static void digest(const EVP_MD *md, long count)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char out[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	check(EVP_DigestInit_ex(c, md, NULL), "EVP_DigestInit_ex");
	for (long i = 0; i < count; i++)
		check(EVP_DigestUpdate(c, block, BLOCK), "EVP_DigestUpdate");
	check(EVP_DigestFinal_ex(c, out, &n), "EVP_DigestFinal_ex");
	show(out, n);
}

static void aes(long count)
{
	static const unsigned char key[16] = "benchmark of AES", iv[16] = "counter at first";
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;

	check(EVP_EncryptInit_ex(c, EVP_aes_128_ctr(), NULL, key, iv), "EVP_EncryptInit_ex");
	for (long i = 0; i < count; i++)
		check(EVP_EncryptUpdate(c, block, &n, block, BLOCK), "EVP_EncryptUpdate");
	show(block, 32);
}

static void rsa(long count)
{
	FILE *f = fopen(KEY, "r");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
	EVP_PKEY_CTX *c = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	unsigned char out[256];
	size_t n;

	check(c != NULL, KEY);
	check(EVP_PKEY_sign_init(c), "EVP_PKEY_sign_init");
	check(EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING), "padding");
	check(EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()), "EVP_PKEY_CTX_set_signature_md");
	for (long i = 0; i < count; i++) {
		n = sizeof(out);
		check(EVP_PKEY_sign(c, out, &n, block, 32), "EVP_PKEY_sign");
		memcpy(block, out, 32);
	}
	show(out, n);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long count = argc > 2 ? atol(argv[2]) : 0;

	for (size_t i = 0; i < BLOCK; i++)
		block[i] = (unsigned char)(i * 7);
	if (!strcmp(what, "sha256")) {
		digest(EVP_sha256(), count);
	} else if (!strcmp(what, "md5")) {
		digest(EVP_md5(), count);
	} else if (!strcmp(what, "aes")) {
		aes(count);
	} else if (!strcmp(what, "rsa")) {
		rsa(count);
	} else if (!strcmp(what, "keygen")) {
		EVP_PKEY *key = EVP_RSA_gen(2048);

		check(key && PEM_write_PrivateKey(stdout, key, NULL, NULL, 0, NULL, NULL), "key");
	} else {
		fprintf(stderr, "usage: lodge-crypto sha256|md5|aes|rsa COUNT\n");
		return 2;
	}
	return 0;
}
