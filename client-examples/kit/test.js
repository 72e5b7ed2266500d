// Builds the page and uses it in Chromium, beside a second client that calls the API directly.
// Usage: node test.js [ADDRESS]    default http://127.0.0.1:8080. CHROMIUM is the browser, /usr/bin/chromium by default.
import assert from 'node:assert/strict';
import { EventEmitter, on } from 'node:events';
import { chromium } from 'playwright-core';
import { build, preview } from 'vite';

const server = (process.argv[2] ?? 'http://127.0.0.1:8080').replace(/\/$/, '');
const name = `kit_${process.pid}_${Date.now().toString(36)}`;
const rows = 100_000;
const file = Buffer.from('n,text\n' + Array.from({ length: rows }, (_, n) => `${n},${'x'.repeat(30)}\n`).join(''));

const step = (text) => console.log(`- ${text}`);

function post(accept, query, variables) {
  const headers = { 'content-type': 'application/json', accept };
  const signal = AbortSignal.timeout(120_000);
  return fetch(`${server}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query, variables }), signal });
}

/** The second client. */
async function api(query, variables) {
  const { data, errors } = await (await post('application/json', query, variables)).json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

const stateOf = async (id) => (await api('query ($id: ID!) { task(id: $id) { state } }', { id })).task.state;
/** Waits for the end of a task, with which its events end. */
const ended = async (id) => (await post('text/event-stream', 'subscription ($id: ID!) { taskProgress(id: $id) { id } }', { id })).text();
const verb = (verb, id) => api(`mutation ($id: ID!) { ${verb}(id: $id) { state } }`, { id });

/** Holds a thing back until it is released. */
function gate() {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  return { released, release };
}

process.env.PAUSA = server;
const config = { root: import.meta.dirname, logLevel: 'warn', build: { outDir: 'node_modules/.page' } };
await build(config);
const web = await preview({ ...config, preview: { host: '127.0.0.1', port: 0 } });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--disable-background-networking', '--disable-component-update', '--disable-quic', '--disable-sync'],
});
const page = await browser.newPage();
page.setDefaultTimeout(60_000);
const broken = [];
page.on('pageerror', (error) => broken.push(error));

// The WebSockets of the page pass through here, so that they can be watched and cut. Events are what the page has received.
const sockets = { open: undefined, refused: false, subscriptions: 0, events: new EventEmitter() };
await page.routeWebSocket(/\/graphql$/, (socket) => {
  if (sockets.refused) return socket.close({ code: 1013 });
  const upstream = socket.connectToServer();
  socket.onMessage((message) => {
    if (JSON.parse(message).type === 'subscribe') sockets.subscriptions += 1;
    upstream.send(message);
  });
  upstream.onMessage((message) => {
    socket.send(message);
    const { type, payload } = JSON.parse(message);
    if (type === 'next') sockets.events.emit('task', payload.data.task);
  });
  sockets.open = socket;
});

/** Lets `handle` decide about the next request of this operation. */
function intercept(operation, handle) {
  return page.route(
    (url) => url.pathname === '/graphql',
    (route) => (route.request().postDataJSON()?.operationName === operation ? handle(route) : route.fallback()),
    { times: 1 },
  );
}

const item = (id) => page.locator(`li[data-id="${id}"]`);
const shows = (id, state) => item(id).and(page.locator(`[data-state="${state}"]`)).waitFor();
const refused = (code) => page.locator(`[role="alert"][data-code="${code}"]`).waitFor();
const press = (id, verb) => item(id).getByRole('button', { name: verb }).click();

/** Imports slowly enough to watch. */
async function submit(dataset) {
  await page.setInputFiles('input[name="file"]', { name: 'rows.csv', mimeType: 'text/csv', buffer: file });
  await page.fill('input[name="dataset"]', dataset);
  await page.fill('input[name="rate"]', '500');
  await page.getByRole('button', { name: 'Import' }).click();
}

async function importsInto(dataset) {
  const query = 'query ($dataset: String!) { tasks(filter: { datasets: [$dataset] }) { nodes { id } } }';
  return (await api(query, { dataset })).tasks.nodes.map(({ id }) => id);
}

async function started(dataset) {
  await page.locator('form button:enabled').waitFor();
  assert.deepEqual(await page.locator('form [role="alert"]').allTextContents(), []);
  const ids = await importsInto(dataset);
  assert.equal(ids.length, 1, 'imports that started');
  await shows(ids[0], 'RUNNING');
  return ids[0];
}

async function uploadWithProgress() {
  step('Upload a file at 4 MB/s and import it; the progress of the upload is shown');
  await page.evaluate(() => {
    window.sent = [];
    new MutationObserver(() => {
      const bar = document.querySelector('progress[aria-label="Upload"]');
      if (bar) window.sent.push(bar.value);
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  const network = await page.context().newCDPSession(page);
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 4e6 };
  await network.send('Network.emulateNetworkConditions', slow);
  await submit(name);
  const id = await started(name);
  await network.send('Network.emulateNetworkConditions', { ...slow, uploadThroughput: -1 });
  const sent = await page.evaluate(() => window.sent);
  assert.ok(sent.some((value) => value > 0 && value < 1), `progress of the upload: ${sent}`);
  assert.deepEqual(sent, sent.toSorted((a, b) => a - b), 'it never decreases');
  return id;
}

async function liveProgress(id) {
  step('The progress of the import is live');
  const done = () => item(id).locator('progress').evaluate((bar) => bar.value);
  const first = await done();
  await page.waitForFunction(([id, first]) => document.querySelector(`li[data-id="${id}"] progress`).value > first, [id, first]);
}

/** Holds the next pause back until it is released. */
async function heldPause() {
  const request = gate();
  await intercept('Pause', async (route) => {
    await request.released;
    await route.continue();
  });
  return request;
}

async function optimisticPause(id) {
  step('A pause is shown before the server has it');
  const request = await heldPause();
  await press(id, 'PAUSE');
  await shows(id, 'PAUSING');
  assert.equal(await stateOf(id), 'RUNNING');
  request.release();
  await shows(id, 'PAUSED');
  await press(id, 'RESUME');
  await shows(id, 'RUNNING');
}

async function lateResponse(id) {
  step('A response that arrives after newer events changes nothing');
  await page.evaluate((id) => {
    window.states = [];
    const attributes = { attributes: true, attributeFilter: ['data-state'] };
    const item = document.querySelector(`li[data-id="${id}"]`);
    new MutationObserver(() => window.states.push(item.dataset.state)).observe(item, attributes);
  }, id);
  await intercept('Pause', async (route) => {
    const paused = await route.fetch();
    const { version } = (await paused.json()).data.task;
    const events = on(sockets.events, 'task');
    await verb('resume', id);
    for await (const [task] of events) if (task.id === id && task.state === 'RUNNING' && task.version > version) break;
    await route.fulfill({ response: paused });
  });
  await press(id, 'PAUSE');
  await shows(id, 'PAUSING');
  await shows(id, 'RUNNING');
  assert.deepEqual(await page.evaluate(() => window.states), ['PAUSING', 'RUNNING']);
}

async function refusedPause(id) {
  step('A pause that the server refuses is taken back, and its code is shown');
  const request = await heldPause();
  await press(id, 'PAUSE');
  await shows(id, 'PAUSING');
  await verb('terminate', id);
  request.release();
  await refused('INVALID_STATE');
  await shows(id, 'TERMINATED');
}

async function lostResponse() {
  step('A start whose response is lost is repeated, and one import starts');
  await intercept('StartImport', async (route) => {
    await route.fetch();
    await route.abort('connectionreset');
  });
  const dataset = `${name}_once`;
  await submit(dataset);
  return started(dataset);
}

async function reconnect(id) {
  step('After a lost connection the list is complete again');
  sockets.refused = true;
  await sockets.open.close({ code: 1012 });
  const update = 'mutation ($id: ID!) { updateTask(id: $id, input: { maxRowsPerSecond: 0 }) { id } }';
  await api(update, { id });
  const { pi } = await api('mutation { pi: startPiJob(input: { digits: 10 }) { id } }');
  await Promise.all([ended(id), ended(pi.id)]);
  await shows(id, 'RUNNING');
  assert.equal(await item(pi.id).count(), 0);
  sockets.refused = false;
  await shows(id, 'COMPLETED');
  await shows(pi.id, 'COMPLETED');
  assert.equal(sockets.subscriptions, 2, 'one subscription for each connection');
  return pi.id;
}

async function newestOnly(ids) {
  step('The list has the newest tasks, also when an older one changes');
  const { pi } = await api('mutation { pi: startPiJob(input: { digits: 10 }) { id } }');
  await shows(pi.id, 'COMPLETED');
  const [oldest, ...others] = ids;
  const events = on(sockets.events, 'task');
  await api('mutation ($id: ID!) { updateTask(id: $id, input: { label: "changed" }) { id } }', { id: oldest });
  for await (const [task] of events) if (task.id === oldest && task.label === 'changed') break;
  await page.evaluate(() => new Promise(requestAnimationFrame));
  const shown = await page.locator('li').evaluateAll((items) => items.map((item) => item.dataset.id));
  assert.deepEqual(shown, [...others, pi.id].toReversed());
  await api('mutation ($id: ID!) { deleteTask(id: $id) }', { id: oldest });
  return [...others, pi.id];
}

async function takenName(dataset) {
  step('A refused start shows its code');
  await submit(dataset);
  await refused('ALREADY_EXISTS');
}

async function remove(ids) {
  step('Deleted tasks leave the list');
  for (const id of ids) {
    await press(id, 'DELETE');
    await item(id).waitFor({ state: 'detached' });
  }
  assert.equal((await api('query ($ids: [ID!]) { tasks(filter: { ids: $ids }) { totalCount } }', { ids })).tasks.totalCount, 0);
  await api('mutation ($name: String!) { dropDataset(name: $name) }', { name: `${name}_once` });
}

try {
  await page.goto(`${web.resolvedUrls.local[0]}?limit=3`);
  const first = await uploadWithProgress();
  await liveProgress(first);
  await optimisticPause(first);
  await lateResponse(first);
  await refusedPause(first);
  const second = await lostResponse();
  const pi = await reconnect(second);
  await takenName(`${name}_once`);
  await remove(await newestOnly([first, second, pi]));
  assert.deepEqual(broken, []);
  step('The page works');
} catch (error) {
  console.error(`FAILED: ${error.stack}`);
  process.exitCode = 1;
  const sweep = 'mutation ($names: [String!]) { controlTasks(verb: TERMINATE, filter: { datasets: $names }) { changed } }';
  await api(sweep, { names: [name, `${name}_once`] }).catch(() => {});
} finally {
  await browser.close();
  await web.close();
}
