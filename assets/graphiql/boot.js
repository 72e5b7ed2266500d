// Starts GraphiQL on this server's API, with the tour as its first text.
'use strict';

async function start() {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const tour = await fetch('/graphiql/tour.graphql').then((answer) => answer.text());
  const fetcher = GraphiQL.createFetcher({
    url: '/graphql',
    subscriptionUrl: `${scheme}//${location.host}/graphql`,
  });
  const page = React.createElement(GraphiQL, {
    fetcher,
    defaultQuery: tour,
    defaultEditorToolsVisibility: 'variables',
    shouldPersistHeaders: false,
  });
  ReactDOM.createRoot(document.getElementById('graphiql')).render(page);
}

start().catch((error) => {
  document.getElementById('graphiql').textContent = `The playground did not start: ${error}`;
});
