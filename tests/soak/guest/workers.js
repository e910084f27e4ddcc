// SPDX-License-Identifier: GPL-2.0-or-later
// Threads that share memory: Atomics, a lock made of compareExchange, wait and notify, while every
// thread's code is being compiled. Prints what must come out.
'use strict';
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');
const THREADS = 4, ROUNDS = 30000;

function lock(a, i) {
  while (Atomics.compareExchange(a, i, 0, 1) !== 0) Atomics.wait(a, i, 1, 1);
}
function unlock(a, i) { Atomics.store(a, i, 0); Atomics.notify(a, i, 1); }

function work({ shared, id }) {
  const a = new Int32Array(shared), u8 = new Uint8Array(shared, 4096, 64);
  const big = new BigInt64Array(shared, 8192, 4);
  for (let i = 0; i < ROUNDS; i++) {
    Atomics.add(a, 0, 1);
    Atomics.sub(a, 1, 3);
    Atomics.xor(a, 2, 1 << (i + id) % 31);
    Atomics.add(u8, i % 64, 1);
    Atomics.add(big, i % 4, BigInt(id + 1) << 33n);
    if (i % 8 === 0) {
      lock(a, 16);
      a[17] = a[17] + 1; // not atomic: the lock's work
      a[18] = a[17] ^ a[19];
      a[19] = a[18] ^ a[17];
      unlock(a, 16);
    }
  }
  // A token goes round by wait and notify.
  for (let turn = id; turn < 400; turn += THREADS) {
    for (let v; (v = Atomics.load(a, 32)) !== turn;) Atomics.wait(a, 32, v);
    a[33] = (Math.imul(a[33], 31) + turn) | 0;
    Atomics.store(a, 32, turn + 1);
    Atomics.notify(a, 32);
  }
  let s = 0;
  for (let i = 0; i < 2e6; i++) s = (s + Math.imul(i, id + 3)) | 0;
  parentPort.postMessage({ id, s });
}

async function main() {
  const shared = new SharedArrayBuffer(16384), results = [];
  await Promise.all(Array.from({ length: THREADS }, (_, id) => new Promise((done, fail) => {
    const w = new Worker(__filename, { workerData: { shared, id } });
    w.on('message', (m) => results.push(m));
    w.on('error', fail);
    w.on('exit', done);
  })));
  const a = new Int32Array(shared);
  console.log('add', a[0], 'sub', a[1], 'xor', a[2], 'locked', a[17], 'token', a[32], a[33]);
  console.log('bytes', new Uint8Array(shared, 4096, 64).join());
  console.log('big', new BigInt64Array(shared, 8192, 4).join());
  console.log(results.sort((x, y) => x.id - y.id).map((r) => `${r.id}:${r.s}`).join(' '));
}

if (isMainThread) (async () => { for (let i = 0; i < 5; i++) await main(); })();
else work(workerData);
