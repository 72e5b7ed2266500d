// React hooks: a list of tasks and each of its tasks, live by one subscription.
import { useApolloClient, useFragment, useSubscription } from '@apollo/client/react';
import { useState } from 'react';
import { cacheId, keepNewest } from './client';
import { errorOf, type PausaError } from './errors';
import * as operations from './operations';

/**
 * The IDs of the newest tasks that match, newest first, and of all that start later. The tasks themselves are in the cache, where
 * `useTask` finds them. After a lost connection the server sends the newest tasks again, so nothing is missed.
 */
export function useTasks(filter: operations.TaskFilter, initial = 50) {
  const [ids, setIds] = useState<string[]>([]);
  const { error } = useSubscription(operations.TasksDocument, {
    variables: { filter, initial },
    fetchPolicy: 'no-cache',
    ignoreResults: true,
    onData: ({ client, data: { data } }) => {
      if (!data) return;
      keepNewest(client.cache, data.task);
      setIds((known) => (known.includes(data.task.id) ? known : [data.task.id, ...known]));
    },
  });
  return { ids, error: error && errorOf(error) };
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
