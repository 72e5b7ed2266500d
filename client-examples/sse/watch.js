// Keeps a list of tasks by Server-Sent Events, with graphql-sse and distinct connections. The list is complete, also after a lost connection.
// Usage: node watch.js [ADDRESS]    default http://127.0.0.1:8080
import assert from 'node:assert/strict';
import { createClient } from 'graphql-sse';

const server = (process.argv[2] ?? 'http://127.0.0.1:8080').replace(/\/$/, '');
const label = `sse_${process.pid}_${Date.now().toString(36)}`;

const step = (text) => console.log(`- ${text}`);

/** A network that can be cut: it ends the connection, and refuses new ones until it is mended. */
const network = {
  connections: 0,
  async fetch(url, options) {
    await network.mended;
    network.connections += 1;
    network.connection = new AbortController();
    return fetch(url, { ...options, signal: AbortSignal.any([options.signal, network.connection.signal]) });
  },
  cut() {
    network.mended = new Promise((resolve) => (network.mend = resolve));
    network.connection.abort();
  },
};

const client = createClient({ url: `${server}/graphql` });
const watcher = createClient({ url: `${server}/graphql`, fetchFn: network.fetch, retryAttempts: Infinity });

/** Runs a query or mutation. */
async function call(query, variables) {
  for await (const { data, errors } of client.iterate({ query, variables })) {
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  }
}

const tasks = new Map();
const query = `subscription ($filter: TaskFilter) {
  task: taskChanges(filter: $filter, initial: 50, progress: true) { id version state progress { done total } }
}`;
const changes = watcher.iterate({ query, variables: { filter: { label } } });

/** Follows the changes until each of these tasks has this state. A task whose version is not newer is dropped. */
async function until(ids, state) {
  while (!ids.every((id) => tasks.get(id)?.state === state)) {
    const { value } = await changes.next();
    assert.ok(value?.data, `the watch ended: ${JSON.stringify(value)}`);
    const { task } = value.data;
    if (task.version <= tasks.get(task.id)?.version) continue;
    tasks.set(task.id, task);
    console.log(`    ${task.id} ${task.state} ${task.progress.done} of ${task.progress.total}`);
  }
}

async function start(digits) {
  const input = { digits, label };
  return (await call('mutation ($input: StartPiJobInput!) { task: startPiJob(input: $input) { id } }', { input })).task.id;
}

/** Fails the tour if it takes longer than it should. */
const limit = setTimeout(() => watcher.dispose(), 120_000);

try {
  step('Start two tasks and watch them by one subscription');
  const [short, long] = [await start(10_000), await start(50_000_000)];
  await until([short], 'COMPLETED');
  await until([long], 'RUNNING');

  step('Cut the connection; meanwhile one task starts and another is terminated');
  network.cut();
  const other = await start(10_000);
  const { task } = await call('mutation ($id: ID!) { task: terminate(id: $id, waitSeconds: 30) { state } }', { id: long });
  assert.equal(task.state, 'TERMINATED');
  assert.equal(tasks.get(long).state, 'RUNNING');

  step('Connect again: the list is complete');
  network.mend();
  await until([long], 'TERMINATED');
  await until([other], 'COMPLETED');
  assert.equal(network.connections, 2);

  step('Delete the tasks');
  for (const id of tasks.keys()) await call('mutation ($id: ID!) { deleteTask(id: $id) }', { id });
  step('The tour is complete');
} catch (error) {
  console.error(`FAILED: ${error.message}`);
  process.exitCode = 1;
  const sweep = 'mutation ($label: String) { controlTasks(verb: TERMINATE, filter: { label: $label }) { changed } }';
  await call(sweep, { label }).catch(() => {});
} finally {
  clearTimeout(limit);
  watcher.dispose();
}
