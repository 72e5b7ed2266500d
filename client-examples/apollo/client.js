// Apollo Client on one server: queries and mutations over HTTP, files as multipart requests, subscriptions by WebSocket or
// as multipart responses.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

/**
 * A client of the server at `address`, such as http://127.0.0.1:8080, and how to close it. `subscriptions` is `websocket` or `multipart`,
 * which needs no other package than Apollo Client.
 */
export function connect(address, subscriptions = 'websocket') {
  const socket = createClient({ url: `${address.replace(/^http/, 'ws')}/graphql`, webSocketImpl: WebSocket });
  const http = new HttpLink({ uri: `${address}/graphql`, fetch: fetchWithFiles });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION && subscriptions === 'websocket',
    new GraphQLWsLink(socket),
    http,
  );
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  return {
    client,
    close: async () => {
      client.stop();
      await socket.dispose();
    },
  };
}

/** Sends a request whose context brings a `file` as GraphQL multipart request, for the variable of that name. */
async function fetchWithFiles(uri, { file, ...options }) {
  if (!file) return fetch(uri, options);
  const form = new FormData();
  form.set('operations', options.body);
  form.set('map', JSON.stringify({ 0: ['variables.file'] }));
  form.set('0', file);
  const { 'content-type': _, ...headers } = options.headers;
  return fetch(uri, { ...options, headers: { ...headers, 'apollo-require-preflight': 'true' }, body: form });
}
