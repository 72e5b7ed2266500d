// What both queues are given: jobs that are due one after the other, and that post to a URL of their own each.
import http from 'node:http';

const [store, to, first, rate, count] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });

export { store };

/** How many there are, and how many of them run at once. */
export const total = Number(count);
export const concurrency = 100;

/** The moment of a job, in milliseconds since 1970. */
export const due = (n) => Number(first) + (n * 1000) / Number(rate);

/** Adds all jobs, many at a time. */
export async function inBatches(add) {
  for (let from = 0; from < total; from += 500) {
    await add(Array.from({ length: Math.min(500, total - from) }, (_, n) => from + n));
  }
}

/** The job: a POST whose path says which it is. */
export function send(n) {
  const id = `00000000-0000-0000-0000-${String(n).padStart(12, '0')}`;
  return new Promise((resolve, reject) => {
    const request = http.request(`${to}/${id}`, { agent, method: 'POST', headers: { 'content-length': 0 } });
    request.on('response', (response) => response.resume().on('end', resolve)).on('error', reject).end();
  });
}

/** Ends the process once all jobs were done. */
export function ended() {
  ended.count = (ended.count ?? 0) + 1;
  if (ended.count === total) process.exit(0);
}
