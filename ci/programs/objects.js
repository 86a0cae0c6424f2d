// Buffers, strings, maps, JSON and compression in node. Its own objects live in a heap of V8's; buffers, zlib and V8's bookkeeping use malloc.
// Prints lines that depend on nothing.
'use strict';
const zlib = require('zlib');
const crypto = require('crypto');

let state = 12345;
const chance = (below) => {
  state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
  return (state >>> 8) % below;
};

const kept = [];
let bytes = 0;
for (let turn = 0; turn < 20000; turn++) {
  const buffer = Buffer.alloc(100 + chance(20000), turn & 255);
  bytes += buffer.length;
  if (turn % 4 === 0) kept[chance(500)] = buffer;
}
console.log('buffers', bytes, kept.filter(Boolean).length > 400);

const users = new Map();
for (let number = 0; number < 60000; number++) {
  users.set(`user-${number}`, { id: number, tags: [chance(10), chance(10)], name: `name ${chance(1e6)}` });
  if (number % 3 === 0) users.delete(`user-${chance(number + 1)}`);
}
const text = JSON.stringify([...users]);
console.log('json', text.length, JSON.parse(text).length);

const hash = crypto.createHash('sha256');
for (let turn = 0; turn < 40; turn++) {
  const part = text.slice(turn * 1000, turn * 1000 + 200000);
  const back = zlib.inflateSync(zlib.deflateSync(part));
  hash.update(back);
}
console.log('zlib', hash.digest('hex'));
