// An upload that is paused and resumed with tus-js-client, then imported, counted and deleted.
// Usage: node resume.js [ADDRESS]    default http://127.0.0.1:8080
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Upload } from 'tus-js-client';

const server = (process.argv[2] ?? 'http://127.0.0.1:8080').replace(/\/$/, '');
const dataset = `tus_${process.pid}_${Date.now().toString(36)}`;
const rows = 200_000;
const file = Buffer.from('n,name\n' + Array.from({ length: rows }, (_, n) => `${n},"name, of ${n}"\n`).join(''));
const chunkSize = 256 * 1024;
const started = [];

const step = (text) => console.log(`- ${text}`);

async function api(query, variables) {
  const answer = await fetch(`${server}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return answer.json();
}

async function data(query, variables) {
  const answer = await api(query, variables);
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  return answer.data;
}

/** An upload of the file: `onPart(upload, sent)` is called after each part; the promise is kept once all is sent. */
function send(options, onPart) {
  return new Promise((resolve, reject) => {
    const upload = new Upload(file, {
      endpoint: `${server}/uploads`,
      chunkSize,
      metadata: { filename: 'rows.csv', filetype: 'text/csv' },
      ...options,
      onError: reject,
      onSuccess: () => resolve(upload),
      onChunkComplete: (_, sent) => onPart(upload, sent, resolve),
    });
    upload.start();
  });
}

/** Pauses an upload after its second part, as a user would with a button, and answers its address. */
async function pausedUpload() {
  step(`Send ${file.length} bytes and pause after the second part`);
  let paused = false;
  const upload = await send({}, async (upload, sent, resolve) => {
    if (paused || sent < 2 * chunkSize) return;
    paused = true;
    await upload.abort();
    resolve(upload);
  });
  const head = await fetch(upload.url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
  const there = Number(head.headers.get('upload-offset'));
  assert.ok(there >= 2 * chunkSize && there < file.length, `${there} bytes are there`);
  step(`${there} bytes received, kept until ${head.headers.get('upload-expires')}`);
  return { url: upload.url, there };
}

const startImport = 'mutation($input: StartImportInput!) { task: startImport(input: $input) { id } }';

async function refusedUntilWhole(uploadId, there) {
  step('An import is refused while the upload is incomplete');
  const { errors } = await api(startImport, { input: { source: { uploadId }, dataset } });
  assert.equal(errors?.[0].extensions.code, 'BAD_USER_INPUT');
  assert.match(errors[0].message, new RegExp(`${there} of ${file.length} bytes received`));
}

/** Continues an upload in a new object, as after a restart of the program, and checks that nothing is sent twice. */
async function resumedUpload(uploadUrl, there) {
  step('Resume the upload');
  let first;
  await send({ uploadUrl }, (_, sent) => (first ??= sent));
  assert.equal(first, Math.min(there + chunkSize, file.length), 'it continues where it was paused');
}

async function imported(uploadId) {
  step(`Import it into ${dataset}`);
  const { task } = await data(startImport, { input: { source: { uploadId }, dataset } });
  started.push(task.id);
  const watch = 'subscription($id: ID!) { task: taskProgress(id: $id) { state error { message } } }';
  const final = await lastOf(watch, { id: task.id });
  assert.equal(final.task.state, 'COMPLETED', final.task.error?.message);
  const { dataset: found } = await data('query($name: String!) { dataset(name: $name) { rowCount } }', { name: dataset });
  assert.equal(found.rowCount, rows);
}

/** Every cell comes out as it went in: the export of the dataset is compared with the file. */
async function compared() {
  step('Export it and compare every byte');
  const query = 'mutation($input: StartExportInput!) { task: startExport(input: $input) { id } }';
  const { task } = await data(query, { input: { dataset } });
  started.push(task.id);
  await lastOf('subscription($id: ID!) { task: taskProgress(id: $id) { state } }', { id: task.id });
  const bytes = Buffer.from(await (await fetch(`${server}/download/${task.id}`)).arrayBuffer());
  const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
  // The export has CRLF line ends, as RFC 4180 asks.
  assert.equal(sha256(bytes), sha256(Buffer.from(file.toString().replaceAll('\n', '\r\n'))));
}

/** The last event of a subscription, which the server ends with the task. */
async function lastOf(query, variables) {
  const answer = await fetch(`${server}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'multipart/mixed;subscriptionSpec=1.0' },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(120_000),
  });
  const events = (await answer.text()).split('--graphql').map((part) => part.slice(part.indexOf('{')));
  const received = events.filter((text) => text.startsWith('{')).map((text) => JSON.parse(text.trim()).payload);
  return received.filter((payload) => payload?.data).at(-1).data;
}

async function tidy() {
  step('Delete everything');
  await data('mutation($dataset: String!) { dropDataset(name: $dataset) }', { dataset });
  for (const id of started) await data('mutation($id: ID!) { deleteTask(id: $id) }', { id });
}

try {
  const { url, there } = await pausedUpload();
  const id = new URL(url).pathname.replace('/uploads/', '');
  await refusedUntilWhole(id, there);
  await resumedUpload(url, there);
  await imported(id);
  await compared();
  await tidy();
  await Upload.terminate(url);
  step('The tour is complete');
} catch (error) {
  console.error(`FAILED: ${error.message}`);
  process.exitCode = 1;
}
