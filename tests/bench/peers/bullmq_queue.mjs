// Puts jobs into BullMQ's queue and leaves them there: what a queue of so many costs Redis is what is asked.
//
//   node bullmq_queue.mjs COUNT REDIS_PORT      → {"seconds": …}
import { Queue } from "bullmq";
import { Redis } from "ioredis";

const [count, redisPort] = process.argv.slice(2).map(Number);
const connection = new Redis({ host: "127.0.0.1", port: redisPort, maxRetriesPerRequest: null });
const queue = new Queue("mail", { connection });
const began = performance.now();
for (let begin = 0; begin < count; begin += 1000) {
  const numbers = Array.from({ length: Math.min(1000, count - begin) }, (_, n) => begin + n);
  const job = (n) => ({
    name: "send",
    data: { campaign: 1, email: `person${n}@company${n % 50000}.test`, first_name: `First${n % 997}`, company: `Company ${n % 50000}` },
    opts: { removeOnComplete: true },
  });
  await queue.addBulk(numbers.map(job));
}
console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000 }));
process.exit(0);
