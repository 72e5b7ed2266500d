// A page that uploads and imports files, and shows the imports live.
import { ApolloProvider, useApolloClient } from '@apollo/client/react';
import { useState, type FormEvent } from 'react';
import { createRoot } from 'react-dom/client';
import { client } from './client';
import { advice, errorOf, type PausaError } from './errors';
import { StartImportDocument } from './operations';
import { useTask, useTasks } from './tasks';
import { upload } from './upload';

function ErrorText({ error }: { error: PausaError | undefined }) {
  if (!error) return null;
  const { code } = error.details;
  return (
    <p role="alert" data-code={code}>
      {error.message} {advice[code]?.(error.details)}
    </p>
  );
}

/** Uploads a file and imports it. One idempotency key per submission: however often the request is repeated, one import starts. */
function ImportForm() {
  const client = useApolloClient();
  const [sent, setSent] = useState<number>();
  const [error, setError] = useState<PausaError>();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setError(undefined);
    setSent(0);
    try {
      const uploadId = await upload(form.get('file') as File, setSent);
      const input = {
        source: { uploadId },
        dataset: String(form.get('dataset')),
        maxRowsPerSecond: Number(form.get('rate')) || null,
        idempotencyKey: crypto.randomUUID(),
      };
      await client.mutate({ mutation: StartImportDocument, variables: { input }, fetchPolicy: 'no-cache' });
    } catch (cause) {
      setError(errorOf(cause));
    }
    setSent(undefined);
  }

  return (
    <form onSubmit={submit}>
      <input name="file" type="file" required />
      <input name="dataset" placeholder="Dataset" required />
      <input name="rate" type="number" placeholder="Rows per second" />
      <button disabled={sent !== undefined}>Import</button>
      {sent !== undefined && <progress value={sent} aria-label="Upload" />}
      <ErrorText error={error} />
    </form>
  );
}

function TaskItem({ id }: { id: string }) {
  const { task, control, remove, error } = useTask(id);
  if (!task) return null;
  const { progress, result } = task;
  const isFinal = ['COMPLETED', 'FAILED', 'TERMINATED'].includes(task.state);
  return (
    <li data-id={id} data-state={task.state}>
      {task.kind} {task.label} {task.state} <progress value={progress.fraction ?? undefined} /> {progress.done} {progress.unit}
      {task.allowedVerbs.map((verb) => (
        <button key={verb} onClick={() => control(verb)}>
          {verb}
        </button>
      ))}
      {isFinal && <button onClick={remove}>DELETE</button>}
      {result && <a href={result.url}>{result.name}</a>}
      {task.error && <p>{task.error.message}</p>}
      <ErrorText error={error} />
    </li>
  );
}

/** The length of the list: `?limit=10`. */
const limit = Number(new URLSearchParams(location.search).get('limit') ?? 50);

function Page() {
  const { ids, error } = useTasks({ kinds: ['IMPORT', 'PI'] }, limit);
  return (
    <main>
      <ImportForm />
      <ErrorText error={error} />
      <ul>
        {ids.map((id) => (
          <TaskItem key={id} id={id} />
        ))}
      </ul>
    </main>
  );
}

createRoot(document.getElementById('root')!).render(
  <ApolloProvider client={client}>
    <Page />
  </ApolloProvider>,
);
