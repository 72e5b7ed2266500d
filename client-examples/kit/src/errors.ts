// Errors by their code. docs/api.md explains each.
import { CombinedGraphQLErrors, ServerError } from '@apollo/client';

export type Code =
  | 'BAD_USER_INPUT'
  | 'NOT_FOUND'
  | 'INVALID_STATE'
  | 'CONFLICT'
  | 'ALREADY_EXISTS'
  | 'TOO_LARGE'
  | 'TOO_BUSY'
  | 'RATE_LIMITED'
  | 'TIMEOUT'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'UNAVAILABLE'
  | 'INTERNAL';

interface Details {
  code: Code;
  /** BAD_USER_INPUT: the invalid value. */
  field?: string;
  /** CONFLICT: the task that is in the way. */
  taskId?: string;
  /** INVALID_STATE: the state of the task. */
  state?: string;
  /** TOO_BUSY, RATE_LIMITED: seconds after which the same request may succeed. */
  retryAfterSeconds?: number;
}

export class PausaError extends Error {
  constructor(message: string, readonly details: Details) {
    super(message);
  }
}

/** What a person can do about each error. A code without advice does not compile. */
export const advice: Record<Code, (details: Details) => string> = {
  BAD_USER_INPUT: ({ field }) => (field ? `Check ${field}.` : 'Check the input.'),
  NOT_FOUND: () => 'It was deleted.',
  INVALID_STATE: ({ state }) => `The task is ${state ?? 'in another state'} now.`,
  CONFLICT: ({ taskId }) => `Wait for task ${taskId ?? ''}, or terminate it.`,
  ALREADY_EXISTS: () => 'Choose another name.',
  TOO_LARGE: () => 'Send less.',
  TOO_BUSY: ({ retryAfterSeconds }) => `Try again in ${retryAfterSeconds ?? 1} s.`,
  RATE_LIMITED: ({ retryAfterSeconds }) => `Try again in ${retryAfterSeconds ?? 1} s.`,
  TIMEOUT: () => 'Try again.',
  UNAUTHENTICATED: () => 'Log in.',
  FORBIDDEN: () => 'Ask for permission.',
  UNAVAILABLE: () => 'Try again in a moment.',
  INTERNAL: () => 'Report the error_id.',
};

/** Reads the error in the body of a response. It has the same form on every route. */
export function errorOfBody(text: string): PausaError {
  try {
    const [{ message, extensions }] = JSON.parse(text).errors;
    return new PausaError(message, extensions);
  } catch {
    return new PausaError(text || 'The server did not answer.', { code: 'UNAVAILABLE' });
  }
}

/** Turns whatever a call failed with into an error with a code. */
export function errorOf(cause: unknown): PausaError {
  if (cause instanceof PausaError) return cause;
  if (CombinedGraphQLErrors.is(cause)) return errorOfBody(JSON.stringify({ errors: cause.errors }));
  return errorOfBody(ServerError.is(cause) ? cause.bodyText : '');
}
