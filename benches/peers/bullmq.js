// Delayed jobs of BullMQ on Redis.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { concurrency, due, ended, inBatches, send, store } from './jobs.js';

const connection = () => new Redis(store, { maxRetriesPerRequest: null });
const queue = new Queue('webhooks', { connection: connection() });
const worker = new Worker('webhooks', (job) => send(job.data), { connection: connection(), concurrency });
worker.on('completed', ended);
await inBatches((numbers) =>
  queue.addBulk(numbers.map((n) => ({ name: 'webhook', data: n, opts: { delay: due(n) - Date.now() } }))),
);
