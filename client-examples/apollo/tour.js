// The tour with Apollo Client: upload by multipart request, import, watch, pause, resume, export, pi, terminate, clean up.
// Usage: node tour.js [ADDRESS [websocket|multipart]]    default http://127.0.0.1:8080 websocket
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect } from './client.js';
import { firstEntry } from './zip.js';
import * as texts from './texts.js';

const server = (process.argv[2] ?? 'http://127.0.0.1:8080').replace(/\/$/, '');
const sample = await readFile(new URL('../sample.csv', import.meta.url));
const run = `${process.pid}_${Date.now().toString(36)}`;
const label = `apollo_${run}`;
const dataset = `apollo_${run}`;
const piSha256 = '452304d0e15d9e9fd9b63024212bb571de54b9b9f0aa050481f90530ef0b5c5d';
const final = ['COMPLETED', 'TERMINATED', 'FAILED'];
const pausa = connect(server, process.argv[3]);
const started = [];

const step = (text) => console.log(`- ${text}`);
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

async function ask(query, variables) {
  const { data } = await pausa.client.query({ query, variables, fetchPolicy: 'no-cache' });
  return data;
}

/** Runs a mutation; a file goes beside it, for the variable `file`. */
async function change(mutation, variables, file) {
  const context = { fetchOptions: { file } };
  const { data } = await pausa.client.mutate({ mutation, variables, context, fetchPolicy: 'no-cache' });
  return data;
}

async function start(mutation, variables, file) {
  const { task } = await change(mutation, { ...variables, label }, file);
  started.push(task.id);
  return task.id;
}

/** Follows a task until `enough(task, events)`; a task that ends before, or a stream that does, is an error. */
function watch(id, enough) {
  let events = 0;
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => settle(reject, new Error(`task ${id}: nothing came of it in two minutes`)), 120_000);
    const stream = pausa.client.subscribe({ query: texts.watch, variables: { id }, fetchPolicy: 'no-cache' });
    const settle = (how, value) => {
      clearTimeout(limit);
      how(value);
      queueMicrotask(() => subscription.unsubscribe());
    };
    const subscription = stream.subscribe({
      next: ({ data, error }) => {
        if (error) return settle(reject, error);
        const { task } = data;
        console.log(`    ${task.state} ${task.progress.done} of ${task.progress.total}`);
        if (enough(task, ++events)) settle(resolve, task);
        else if (final.includes(task.state)) settle(reject, new Error(`task ${id} is ${task.state}: ${task.error?.message}`));
      },
      error: (error) => settle(reject, error),
      complete: () => settle(reject, new Error(`task ${id}: the subscription ended too early`)),
    });
  });
}

const until = (...states) => (task) => states.includes(task.state);

/** Sends a verb; a stop that is under way, PAUSING or TERMINATING, is waited for by the subscription. */
async function control(verb, id, ...states) {
  const { task } = await change(verb, { id });
  if (['PAUSING', 'TERMINATING'].includes(task.state)) await watch(id, until(...states));
  else assert.ok(states.includes(task.state), `expected ${states.join(' or ')}, but the task is ${task.state}`);
}

async function download(id) {
  const answer = await fetch(`${server}/download/${id}`);
  assert.equal(answer.status, 200, `GET /download/${id}`);
  return Buffer.from(await answer.arrayBuffer());
}

async function importWithAPause() {
  step(`Upload and import sample.csv at 400 rows a second into ${dataset}`);
  const file = new File([sample], 'sample.csv', { type: 'text/csv' });
  const id = await start(texts.startImport, { file: null, dataset }, file);
  await watch(id, (_, events) => events === 3);
  step('Pause it');
  await control(texts.pause, id, 'PAUSED');
  const first = (await ask(texts.task, { id })).task.progress.done;
  const second = (await ask(texts.task, { id })).task.progress.done;
  assert.equal(second, first, 'a paused import does not move');
  assert.ok(first < 2000, `the import ended before it could be paused (${first} rows)`);
  step(`Paused at ${first} of 2000 rows`);
  step('Resume it and watch until it ends');
  await control(texts.resume, id, 'QUEUED', 'RUNNING');
  await watch(id, until('COMPLETED'));
  assert.equal((await ask(texts.rowCount, { dataset })).dataset.rowCount, 2000, 'rows imported');
}

async function exportAndCompare() {
  step(`Export ${dataset} and compare it with the sample`);
  const id = await start(texts.startExport, { dataset });
  const { result } = await watch(id, until('COMPLETED'));
  const bytes = await download(id);
  assert.equal(sha256(bytes), result.sha256, 'SHA-256 of the download');
  // The sample is written as RFC 4180 asks, so the same cells are the same bytes.
  assert.ok(bytes.equals(sample), 'the export differs from the sample');
}

async function computePi() {
  step('Compute 10,000 digits of pi and check them');
  const id = await start(texts.startPi, { digits: 10_000 });
  await watch(id, until('COMPLETED'));
  assert.equal(sha256(firstEntry(await download(id))), piSha256, 'SHA-256 of the digits');
  step('Start 10,000,000 digits and terminate the task');
  await control(texts.terminate, await start(texts.startPi, { digits: 10_000_000 }), 'TERMINATED');
}

async function listAndTidy() {
  step('List the tasks of this tour by state, drop the dataset, delete the tasks');
  for (const [state, count] of [['COMPLETED', 3], ['TERMINATED', 1]]) {
    assert.equal((await ask(texts.count, { label, states: [state] })).tasks.totalCount, count, state);
  }
  assert.equal((await change(texts.dropDataset, { dataset })).dropDataset, true);
  for (const id of started) assert.equal((await change(texts.deleteTask, { id })).deleteTask, id);
  assert.equal((await ask(texts.count, { label })).tasks.totalCount, 0, 'tasks left');
}

/** Deletes what a failed tour left on the server. Ignores what does not exist. */
async function sweep() {
  for (const id of started) {
    await change(texts.terminate, { id }).catch(() => {});
    await change(texts.deleteTask, { id }).catch(() => {});
  }
  await change(texts.dropDataset, { dataset }).catch(() => {});
}

async function ready() {
  const answer = await fetch(`${server}/readyz`).catch(() => undefined);
  assert.ok(answer?.ok, `no server is ready at ${server}; start one with: pausa`);
}

try {
  await ready();
  await importWithAPause();
  await exportAndCompare();
  await computePi();
  await listAndTidy();
  step('The tour is complete');
} catch (error) {
  console.error(`FAILED: ${error.message}`);
  process.exitCode = 1;
  if (started.length > 0) await sweep();
} finally {
  await pausa.close();
}
