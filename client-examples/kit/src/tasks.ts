// React hooks: a list of tasks and each of its tasks, live by one subscription.
import { useApolloClient, useFragment, useSubscription } from '@apollo/client/react';
import { useState } from 'react';
import { cacheId, keepNewest } from './client';
import { errorOf, type PausaError } from './errors';
import * as operations from './operations';

type Entry = Pick<operations.TaskRowFragment, 'id' | 'createdAt'>;
const newestFirst = (a: Entry, b: Entry) => Date.parse(b.createdAt) - Date.parse(a.createdAt);

/**
 * The newest tasks that match, at most `limit` (500), newest first, as they start. The cache has the tasks themselves, where `useTask`
 * finds them. After a lost connection the server sends all of them again, so no change is missed.
 */
export function useTasks(filter: operations.TaskFilter, limit = 50) {
  const [entries, setEntries] = useState<Entry[]>([]);
  const { error } = useSubscription(operations.TasksDocument, {
    variables: { filter, initial: limit },
    fetchPolicy: 'no-cache',
    ignoreResults: true,
    onData: ({ client, data: { data } }) => {
      if (!data) return;
      const { task } = data;
      keepNewest(client.cache, task);
      setEntries((known) => (known.some(({ id }) => id === task.id) ? known : [task, ...known].sort(newestFirst).slice(0, limit)));
    },
  });
  return { ids: entries.map(({ id }) => id), error: error && errorOf(error) };
}

/** What each verb does, and the state to show until the server answers. */
const verbs = {
  PAUSE: { mutation: operations.PauseDocument, state: 'PAUSING' },
  RESUME: { mutation: operations.ResumeDocument, state: 'QUEUED' },
  TERMINATE: { mutation: operations.TerminateDocument, state: 'TERMINATING' },
} as const;

/** A task of the list, undefined once it is deleted; its verbs; and why the last of them was refused. */
export function useTask(id: string) {
  const client = useApolloClient();
  const [error, setError] = useState<PausaError>();
  const { data, dataState } = useFragment({
    fragment: operations.TaskRowFragmentDoc,
    fragmentName: 'TaskRow',
    from: { __typename: 'Task', id },
  });
  const task = dataState === 'complete' ? data : undefined;

  async function run(call: () => Promise<unknown>) {
    setError(undefined);
    await call().catch((cause: unknown) => setError(errorOf(cause)));
  }

  /** Shows the state that the verb leads to at once. If the server refuses, the cache has the task as it was. */
  const control = (verb: operations.ControlVerb) =>
    run(() =>
      client.mutate({
        mutation: verbs[verb].mutation,
        variables: { id },
        fetchPolicy: 'no-cache',
        optimisticResponse: { task: { ...task!, state: verbs[verb].state } },
        update: (cache, { data }) => data && keepNewest(cache, data.task),
      }),
    );

  const remove = () =>
    run(() =>
      client.mutate({
        mutation: operations.DeleteTaskDocument,
        variables: { id },
        update: (cache) => cache.evict({ id: cacheId(id) }),
      }),
    );

  return { task, control, remove, error };
}
