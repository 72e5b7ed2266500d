// Answers requests with graphql-js, for comparison. Usage: node graphql_js.mjs NODE_MODULES [RESOLVERS]
// The first line of the input is the schema, as a JSON string. Each further line is a request in JSON; its answer is one line.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [folder, resolvers] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const { buildSchema, executeSync, getOperationAST, parse, validate, validateSchema } = require('graphql');
const { getVariableValues } = require('graphql/execution/values.js');
const roots = resolvers ? await import(pathToFileURL(resolvers)) : null;

let schema;

/** Returns the operation of a request, or why it is refused before anything runs. */
function selected({ query, operationName, variables }) {
  const document = parse(query);
  const [invalid] = validate(schema, document);
  if (invalid) return { error: invalid.message };
  // Null for an unknown name, and for several operations without a name.
  const operation = getOperationAST(document, operationName);
  if (!operation) return { error: 'The document has no such operation.' };
  const { errors } = getVariableValues(schema, operation.variableDefinitions ?? [], variables ?? {});
  if (errors) return { error: errors[0].message };
  return { document, operation };
}

function answer(request) {
  let checked;
  try {
    checked = selected(request);
  } catch (error) {
    // A rule may throw too: one of subscriptions evaluates @skip and @include without the variables.
    checked = { error: error.message };
  }
  const { error, document, operation } = checked;
  if (error !== undefined) return { error };
  if (!roots) return {};
  const { data, errors } = executeSync({
    schema,
    document,
    operationName: operation.name?.value,
    variableValues: request.variables,
    rootValue: roots[operation.operation],
    typeResolver: (value) => value.__typename,
  });
  return { data: JSON.stringify(data), failed: (errors ?? []).length > 0 };
}

for await (const line of createInterface({ input: process.stdin })) {
  if (schema) {
    console.log(JSON.stringify(answer(JSON.parse(line))));
  } else {
    schema = buildSchema(JSON.parse(line));
    const [invalid] = validateSchema(schema);
    if (invalid) throw invalid;
  }
}
