// Apollo Client on the server that serves this page, or on one that its proxy reaches.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, defaultDataIdFromObject } from '@apollo/client';
import type { ApolloCache } from '@apollo/client';
import { RetryLink } from '@apollo/client/link/retry';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { TaskRowFragmentDoc, type TaskRowFragment } from './operations';
import types from './possibleTypes.json';

/** The ID of a task in the cache. It is the same for all kinds, so that the ID of a task is enough to find it. */
export const cacheId = (id: string) => `Task:${id}`;

const isTask = (typename?: string) => typename !== undefined && types.possibleTypes.Task.includes(typename);

const cache = new InMemoryCache({
  possibleTypes: types.possibleTypes,
  dataIdFromObject: (object, context) =>
    isTask(object.__typename) || object.__typename === 'Task' ? cacheId(String(object.id)) : defaultDataIdFromObject(object, context),
});

// Connects again for as long as the page is open. Each new connection subscribes again, and the server sends the list again.
const socket = createClient({
  url: `${location.origin.replace(/^http/, 'ws')}/graphql`,
  retryAttempts: Infinity,
  shouldRetry: () => true,
});

// Repeats a request whose response was lost. Starts have an idempotency key, and verbs may be repeated.
const http = ApolloLink.from([new RetryLink({ attempts: { max: 5 } }), new HttpLink({ uri: '/graphql' })]);

export const client = new ApolloClient({
  cache,
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    http,
  ),
});

/** Writes a task into the cache, unless the cache has a newer version: events and responses overtake each other. */
export function keepNewest(cache: ApolloCache, task: TaskRowFragment) {
  const entry = { id: cacheId(task.id), fragment: TaskRowFragmentDoc, fragmentName: 'TaskRow' };
  const known = cache.readFragment(entry);
  if (!known || known.version <= task.version) cache.writeFragment({ ...entry, data: task });
}
