// Jobs of graphile-worker on PostgreSQL, with `runAt`. Left alone it looks for those that are due every two seconds.
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { concurrency, due, ended, inBatches, send, store } from './jobs.js';

const logger = new Logger(() => () => {});
const adding = await makeWorkerUtils({ connectionString: store, logger });
const runner = await run({
  connectionString: store,
  concurrency,
  maxPoolSize: 20,
  pollInterval: 20,
  logger,
  taskList: { webhook: (payload) => send(payload.n) },
});
runner.events.on('job:success', ended);
await inBatches((numbers) =>
  Promise.all(numbers.map((n) => adding.addJob('webhook', { n }, { runAt: new Date(due(n)) }))),
);
