// SPDX-License-Identifier: GPL-2.0-or-later
// JSON, regular expressions (compiled to machine code by V8), strings, sorting, hashes, zlib.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');
let seed = 99;
function rnd(n) { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return seed % n; }
const sha = (s) => crypto.createHash('sha256').update(s).digest('hex').slice(0, 16);
function word() { let s = ''; for (let n = 2 + rnd(8); n; n--) s += String.fromCharCode(97 + rnd(26)); return s; }
function value(depth) {
  switch (rnd(depth > 4 ? 4 : 6)) {
    case 0: return rnd(1e6) - 5e5;
    case 1: return (rnd(1e6) - 5e5) / 977;
    case 2: return word() + (rnd(9) ? '' : '\u20ac\n"\\' + String.fromCodePoint(0x1f600 + rnd(60)));
    case 3: return [true, false, null][rnd(3)];
    case 4: return Array.from({ length: rnd(12) }, () => value(depth + 1));
    default: return Object.fromEntries(Array.from({ length: rnd(12) }, () => [word(), value(depth + 1)]));
  }
}
let tree = Array.from({ length: 1500 }, () => value(0));
for (let i = 0; i < 8; i++) tree = JSON.parse(JSON.stringify(tree));
console.log('json', sha(JSON.stringify(tree)), sha(JSON.stringify(tree, null, 2)));

const lines = Array.from({ length: 30000 }, () =>
  `${rnd(256)}.${rnd(256)}.${rnd(256)}.${rnd(256)} - ${word()} [${rnd(28)}/Nov/20${10 + rnd(15)}] "GET /${word()}/${word()}?q=${rnd(1e5)}" ${200 + rnd(300)} ${rnd(1e6)}`);
const text = lines.join('\n');
const patterns = [/^(\d+)\.(\d+)\.\d+\.\d+ - (\w+)/gm, /"GET \/(?<dir>[a-m]\w*)\//g, /(\w)\w*\1\b/g,
  /\b[aeiou]\w{3,5}(?=\/)/g, /(?<!\d)4\d\d(?!\d)/g, /[^\x00-\x7f]|q=(?:\d{5}|9+)/gu, /(a|b|ab)*c/gi];
for (const p of patterns) {
  let n = 0, h = 0;
  for (const m of text.matchAll(p)) { n++; h = (Math.imul(h, 31) + m.index + m[0].length) | 0; }
  console.log('regexp', p.source, n, h);
}
console.log('replace', sha(text.replace(/(\d+)\/Nov\/(\d+)/g, (_, d, y) => `${y}-11-${d.padStart(2, '0')}`)));
const words = Array.from({ length: 100000 }, word);
console.log('sort', sha([...words].sort().join()), sha([...words].sort((a, b) => a.length - b.length || (a < b ? 1 : -1)).join()));
const count = new Map();
for (const w of words) count.set(w.slice(0, 2), (count.get(w.slice(0, 2)) || 0) + 1);
console.log('map', count.size, sha(JSON.stringify([...count])));
const z = zlib.gzipSync(text, { level: 6 });
console.log('zlib', z.length > 1000, zlib.gunzipSync(z).toString() === text, zlib.brotliDecompressSync(zlib.brotliCompressSync(text.slice(0, 300000), { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } })).toString() === text.slice(0, 300000));
for (const a of ['md5', 'sha1', 'sha512', 'sha3-256', 'blake2b512'])
  console.log(a, crypto.createHash(a).update(text).digest('hex').slice(0, 24));
const key = crypto.scryptSync('soak', 'salt', 32, { N: 4096 });
for (const c of ['aes-256-gcm', 'chacha20-poly1305', 'aes-256-ctr']) {
  const e = crypto.createCipheriv(c, key, Buffer.alloc(c.endsWith('ctr') ? 16 : 12), { authTagLength: 16 });
  console.log(c, sha(Buffer.concat([e.update(text), e.final()])));
}
console.log('bigint', sha(String(3n ** 20000n % (2n ** 3217n - 1n))));
