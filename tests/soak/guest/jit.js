// SPDX-License-Identifier: GPL-2.0-or-later
// Code that V8 optimizes, throws away and patches: shapes and number kinds that change, functions
// made at run time, exceptions out of optimized code, WebAssembly. Prints sums.
'use strict';
let seed = 12345;
function rnd(n) { seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff; return seed % n; }
function mix(h, v) { return Math.imul(h ^ v, 0x01000193) >>> 0; }

// Integers that become doubles, then strings: each change deoptimizes.
function add(a, b) { return a + b; }
function kinds() {
  let h = 1;
  for (let round = 0; round < 40; round++) {
    let s = 0;
    for (let i = 0; i < 20000; i++) s = add(s, i & 7);
    h = mix(h, s);
    if (round % 4 === 1) s = add(s, 0.5);
    if (round % 4 === 2) h = mix(h, add('x', s).length);
    if (round % 4 === 3) h = mix(h, Number(add(10n ** 20n, 7n) % 1000003n));
  }
  return h;
}

// Inline caches from monomorphic to megamorphic.
function area(o) { return o.w * o.h + (o.d || 0); }
function shapes() {
  const make = [
    (i) => ({ w: i, h: 2 }), (i) => ({ h: 3, w: i }), (i) => ({ d: 1, w: i, h: 1 }),
    (i) => Object.assign(Object.create({ d: 5 }), { w: i, h: 4 }),
    (i) => new (class { constructor() { this.x = 0; this.w = i; this.h = 5; } })(),
  ];
  let h = 2;
  for (let kind = 1; kind <= make.length; kind++) {
    for (let i = 0; i < 60000; i++) h = mix(h, area(make[i % kind](i & 1023)));
    if (kind === 3) Object.prototype.extra = 1;
    if (kind === 4) delete Object.prototype.extra;
  }
  return h;
}

// New functions all the time: code is made, run hot, collected.
function generated() {
  let h = 3;
  for (let i = 0; i < 300; i++) {
    const k = rnd(1000), m = rnd(7) + 1;
    const f = new Function('n', `let s=${k};for(let i=0;i<n;i++){s=(s*${m}+i^${k})|0;` +
      (i & 1 ? 'if(s<0)s=-s|0;' : 's^=s>>>3;') + '}return s;');
    h = mix(h, f(5000) >>> 0);
    if (i % 50 === 0) h = mix(h, f(1e6) >>> 0);
  }
  return h;
}

function thrower(i) { if (i % 97 === 0) throw new RangeError('e' + i % 10); return i * 2; }
function exceptions() {
  let h = 4;
  for (let i = 0; i < 300000; i++) {
    try { h = mix(h, thrower(i)); } catch (e) { h = mix(h, e.message.length); } finally { h ^= 1; }
  }
  return h >>> 0;
}

function arrays() {
  let h = 5;
  const kinds = [[], [], [], new Float64Array(4096), new Uint8ClampedArray(4096), new Int16Array(4096)];
  for (let round = 0; round < 30; round++) {
    for (const a of kinds) {
      for (let i = 0; i < 4096; i++) a[i] = round % 3 === 0 ? i * 3 - 6000 : i * 1.25 - round;
      if (round === 10 && a === kinds[0]) a[9999] = 'hole';
      if (round === 20 && a === kinds[1]) a[3] = { valueOf() { return 41; } };
      let s = 0;
      for (let i = 0; i < 4096; i++) s += +a[i];
      h = mix(h, s | 0);
    }
  }
  return h;
}

function doubles() {
  let x = 0.1, s = '';
  for (let i = 1; i < 400000; i++) {
    x = Math.sin(x) * Math.sqrt(i) + Math.exp(-x * x) - Math.atan2(x, i) + Math.fround(x / 3);
    if (i % 40000 === 0) s += x.toString(16) + ' ' + x + ' ';
  }
  return s;
}

function generators() {
  function* fib() { let [a, b] = [0, 1]; for (;;) { yield a; [a, b] = [b, (a + b) % 1000007]; } }
  let h = 6, n = 0;
  for (const v of fib()) { h = mix(h, v); if (++n > 200000) break; }
  return h;
}

// (module (memory 1) (func (export "f") (param i32) (result i32) loop with i32 arithmetic))
function wasm() {
  const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0,
    7, 5, 1, 1, 102, 0, 0, 10, 36, 1, 34, 1, 1, 127, 3, 64, 32, 1, 65, 31, 108, 32, 0, 106, 65, 13, 119,
    33, 1, 32, 0, 65, 1, 107, 34, 0, 13, 0, 11, 32, 1, 65, 1, 114, 11]);
  let h = 7;
  for (let i = 0; i < 20; i++) {
    const m = new WebAssembly.Instance(new WebAssembly.Module(bytes));
    h = mix(h, m.exports.f(100000 + i) >>> 0);
  }
  return h;
}

for (let pass = 0; pass < 3; pass++)
  for (const f of [kinds, shapes, generated, exceptions, arrays, doubles, generators, wasm]) {
    const start = Date.now();
    console.log(pass, f.name, f());
    if (pass === 1) console.error(f.name, Date.now() - start, 'ms');
  }
