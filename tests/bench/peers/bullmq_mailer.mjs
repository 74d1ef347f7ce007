// BullMQ with nodemailer: how Node's applications send mail from a queue that outlives them. The jobs are in Redis before
// the clock starts, as the engine's enrollments are in its database; it stops when the last job is completed there.
//
//   node bullmq_mailer.mjs SMTP_PORT COUNT CONNECTIONS REDIS_PORT
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { createTransport } from "nodemailer";
import { letter, used } from "./letter.mjs";

const [port, count, connections, redisPort] = process.argv.slice(2).map(Number);
const connection = () => new Redis({ host: "127.0.0.1", port: redisPort, maxRetriesPerRequest: null });
const queue = new Queue("mail", { connection: connection() });
for (let begin = 0; begin < count; begin += 1000) {
  const numbers = Array.from({ length: Math.min(1000, count - begin) }, (_, n) => begin + n);
  await queue.addBulk(numbers.map((number) => ({ name: "send", data: { number }, opts: { removeOnComplete: true } })));
}
const transport = createTransport({
  host: "127.0.0.1", port, pool: true, maxConnections: connections, maxMessages: Infinity, secure: false, ignoreTLS: true,
});
const began = performance.now();
const before = used();
let done = 0;
await new Promise((resolve, reject) => {
  const send = async (job) => (await transport.sendMail(letter(job.data.number))).response;
  const worker = new Worker("mail", send, { connection: connection(), concurrency: connections });
  worker.on("completed", () => ++done === count && resolve());
  worker.on("failed", (_, error) => reject(error));
  worker.on("error", reject);
});
const seconds = (performance.now() - began) / 1000;
const after = used();
console.log(JSON.stringify({ seconds, cpu_seconds: after.cpu_seconds - before.cpu_seconds, peak_bytes: after.peak_bytes }));
process.exit(0);
