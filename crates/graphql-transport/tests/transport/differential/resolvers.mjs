// The values of execution.rs, for graphql-js. A function is a field that takes arguments, or fails.
const fail = () => {
  throw new Error('it fails');
};

const thing = (depth) => ({
  __typename: 'Thing',
  name: 'thing',
  none: null,
  must: fail,
  may: fail,
  numbers: [1, 2],
  holes: [1, null],
  echo: ({ number, list, text }) => [number, (list ?? []).length, text].join(' '),
  self: () => thing(depth + 1),
  sure: () => thing(depth + 1),
  gone: null,
  lost: fail,
  things: () => [thing(depth + 1), null],
  all: () => [thing(depth + 1), thing(depth + 1)],
  other: () => other(depth + 1),
  either: () => [thing(depth + 1), other(depth + 1)],
  named: () => (depth % 2 ? other(depth + 1) : null),
});

const other = (depth) => ({
  __typename: 'Other',
  name: 'other',
  flag: true,
  must: fail,
  self: () => thing(depth + 1),
});

export const query = thing(0);
