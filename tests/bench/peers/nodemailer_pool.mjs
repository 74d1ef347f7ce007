// nodemailer's bare pool: no queue, no ledger, nothing that a crash would spare. The fastest that Node's usual mailer does.
//
//   node nodemailer_pool.mjs PORT COUNT CONNECTIONS      → {"seconds": …, "cpu_seconds": …, "peak_bytes": …}
import { createTransport } from "nodemailer";
import { letter, used } from "./letter.mjs";

const [port, count, connections] = process.argv.slice(2).map(Number);
const transport = createTransport({
  host: "127.0.0.1", port, pool: true, maxConnections: connections, maxMessages: Infinity, secure: false, ignoreTLS: true,
});
const began = performance.now();
const before = used();
let next = 0;
// As many callers as keep the pool busy, instead of a promise for each message at once.
async function caller() {
  while (next < count) await transport.sendMail(letter(next++));
}
await Promise.all(Array.from({ length: connections * 2 }, caller));
const seconds = (performance.now() - began) / 1000;
transport.close();
const after = used();
console.log(JSON.stringify({ seconds, cpu_seconds: after.cpu_seconds - before.cpu_seconds, peak_bytes: after.peak_bytes }));
