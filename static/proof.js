// Solves a newcomer's puzzle (ALTCHA's): finds the number that, after the salt, hashes to the challenge. A worker, so
// that the page stays alive meanwhile. SHA-256 here, since the browser's own answers by promise: a tenth of the speed.
"use strict";
const K = new Uint32Array(64);
const START = new Uint32Array(8);
// The constants are fractions of roots of the first primes (FIPS 180-4, section 4.2.2).
for (let prime = 2, found = 0; found < 64; prime++) {
  let whole = true;
  for (let by = 2; by * by <= prime; by++) if (prime % by === 0) { whole = false; break; }
  if (!whole) continue;
  if (found < 8) START[found] = (Math.sqrt(prime) % 1) * 2 ** 32;
  K[found++] = (Math.cbrt(prime) % 1) * 2 ** 32;
}
const W = new Uint32Array(64);

function block(state, view, at) {
  for (let i = 0; i < 16; i++) W[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15], y = W[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = W[i - 16] + s0 + W[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

function solve({ salt, challenge, maxNumber }) {
  const text = new TextEncoder();
  const head = text.encode(salt);
  const wanted = new Uint32Array(8).map((_, i) => parseInt(challenge.slice(8 * i, 8 * i + 8), 16));
  const state = new Uint32Array(8);
  for (let number = 0; number <= maxNumber; number++) {
    const digits = text.encode(String(number));
    const length = head.length + digits.length;
    const padded = new Uint8Array(Math.ceil((length + 9) / 64) * 64);
    padded.set(head);
    padded.set(digits, head.length);
    padded[length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 4, length * 8);
    state.set(START);
    for (let at = 0; at < padded.length; at += 64) block(state, view, at);
    if (state.every((word, i) => word === wanted[i])) return number;
  }
  return null;
}

onmessage = ({ data }) => postMessage(solve(data));
