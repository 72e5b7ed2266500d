/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';
/** Column of the file, and its type. */
export type ColumnInput = {
  /** Name of the column, as in the header. Without a header, the columns are named column_1, column_2 and so on. */
  name: string;
  /** Type of the column. An empty cell is null, except in TEXT. */
  type: ColumnType;
};

/** Type of a column. */
export type ColumnType =
  /** `true` or `false`. Input may also be t, yes, y, on, 1 and their opposites. */
  | 'BOOLEAN'
  /** Calendar date, such as 2026-01-31. Years are 1 to 9999. */
  | 'DATE'
  /** Whole number from -2^63 to 2^63 - 1. */
  | 'INTEGER'
  /** Finite 64-bit floating-point number. */
  | 'REAL'
  /** Text. Every cell is preserved byte for byte. */
  | 'TEXT'
  /** Instant, in UTC, to the microsecond. Input may have any offset. Default: UTC. */
  | 'TIMESTAMP';

/** Control verb for a task. */
export type ControlVerb =
  /** Stops at the next checkpoint and releases all resources. */
  | 'PAUSE'
  /** Continues from the last checkpoint. */
  | 'RESUME'
  /** Stops permanently and rolls back everything the task wrote. */
  | 'TERMINATE';

/** Format of a CSV file. */
export type CsvFormatInput = {
  /**
   * Field delimiter, one ASCII character. Default: comma. If unset, a file that clearly uses another delimiter is refused,
   * and the error names the delimiter.
   */
  delimiter?: string | null | undefined;
  /**
   * Text encoding, by a label of the WHATWG Encoding Standard such as utf-16le, windows-1252 or koi8-r. Default: the
   * encoding of the byte-order mark, else UTF-8. gzip and zstd are detected automatically.
   */
  encoding?: string | null | undefined;
  /** The first line contains the column names. If false, the columns are named column_1, column_2 and so on. */
  header?: boolean;
  /** Text of a null cell, compared exactly. Default: none; empty cells are null in every type but TEXT. */
  nullValue?: string | null | undefined;
  /** Quote character, one ASCII character. Default: double quote. */
  quote?: string | null | undefined;
};

/** Treatment of existing rows of the dataset. */
export type ImportMode =
  /** Adds the rows after the existing ones, atomically, when the import completes. The columns must match. */
  | 'APPEND'
  /** Creates the dataset. Refused with ALREADY_EXISTS if it exists. */
  | 'CREATE'
  /** Replaces all existing rows, atomically, when the import completes. */
  | 'REPLACE';

/** Source of the file: exactly one field. */
export type ImportSource =
  {   /** Path of a file below the server's import folder (setting import_dir). */
  path: string; upload?: never; uploadId?: never; url?: never; }
  |  { path?: never;   /** File part of this request. */
  upload: string; uploadId?: never; url?: never; }
  |  { path?: never; upload?: never;   /** Upload ID that POST /uploads returned. */
  uploadId: string; url?: never; }
  |  { path?: never; upload?: never; uploadId?: never;   /** URL with http or https. An interrupted download is resumed. A password in the URL is never shown. */
  url: string; };

/**
 * Treatment of bad rows. A row is bad if its number of cells is wrong, or a cell cannot be decoded or does not fit its
 * column's type.
 */
export type OnBadRow =
  /** Fails the import with the line and the reason, and rolls it back. */
  | 'FAIL'
  /** Writes the row to the rejects and continues. */
  | 'SKIP';

/** Unit in which progress is counted. */
export type ProgressUnit =
  /** Bytes of a file. */
  | 'BYTES'
  /** Delivered webhooks. */
  | 'DELIVERIES'
  /** Decimal digits. */
  | 'DIGITS'
  /** Rows of a dataset. */
  | 'ROWS'
  /** Terms of a series, or the unit of a kind that the embedding program defines. */
  | 'TERMS';

/** Input of startImport. */
export type StartImportInput = {
  /**
   * Types of columns. Other columns have the type of the dataset's column with APPEND, an inferred type with inferTypes,
   * else TEXT.
   */
  columns?: Array<ColumnInput> | null | undefined;
  /** Format of the file. Default: RFC 4180. */
  csv?: CsvFormatInput | null | undefined;
  /** Name of the dataset to fill: a letter, then letters, digits and _, at most 63 characters. */
  dataset: string;
  /**
   * Idempotency key, up to 200 characters. A repeated call with the same key and input returns the first call's task. The
   * same key with another input or another kind of task is refused with CONFLICT and the ID of that task.
   */
  idempotencyKey?: string | null | undefined;
  /**
   * Infer types from the first 10,000 rows. Columns with leading zeros, telephone numbers or numbers beyond 64 bits stay
   * TEXT.
   */
  inferTypes?: boolean;
  /** Label, up to 200 characters. Default: none. */
  label?: string | null | undefined;
  /**
   * Maximum number of bad rows with onBadRow: SKIP. One more fails the task; the rejects up to that row are kept. Default:
   * no limit.
   */
  maxBadRows?: number | null | undefined;
  /** Rate limit in rows per second, more than 0. Default: unlimited. */
  maxRowsPerSecond?: number | null | undefined;
  /** Treatment of existing rows. */
  mode?: ImportMode;
  /**
   * URL that receives a signed webhook at each final state of the task (COMPLETED, FAILED, TERMINATED), at least once, with the address
   * rules, attempts and signature of timers. Default: none.
   */
  notifyUrl?: string | null | undefined;
  /** Treatment of bad rows. */
  onBadRow?: OnBadRow;
  /**
   * Priority, from -100 to 100. A node with a free slot claims QUEUED tasks of higher priority first, and of the same priority
   * the oldest. Timers are sent at their time whatever their priority.
   */
  priority?: number;
  /** Source of the file. */
  source: ImportSource;
  /** Earliest time of the first run. Default: as soon as possible. */
  startAt?: string | null | undefined;
  /** Tags, at most 16 of 1 to 64 characters each. Default: none. */
  tags?: Array<string> | null | undefined;
};

/** Filter of tasks. A task matches if it matches every field that is set. */
export type TaskFilter = {
  /** Tasks that were created later than this. Default: all. */
  createdAfter?: string | null | undefined;
  /** Tasks that were created earlier than this. Default: all. */
  createdBefore?: string | null | undefined;
  /** Tasks that this subject started. Default: all. */
  createdBy?: string | null | undefined;
  /** Tasks of the kind CUSTOM with any of these names, at most 100. Default: all. */
  customNames?: Array<string> | null | undefined;
  /** Tasks that read or write any of these datasets, at most 100. Default: all. */
  datasets?: Array<string> | null | undefined;
  /** Tasks whose last attempt ended with any of these error codes, at most 100. Default: all. */
  errorCodes?: Array<string> | null | undefined;
  /** Tasks that reached a final state later than this. Default: all. */
  finishedAfter?: string | null | undefined;
  /** Tasks that reached a final state earlier than this. Default: all. */
  finishedBefore?: string | null | undefined;
  /** Tasks with any of these IDs, at most 500. Default: all. */
  ids?: Array<string> | null | undefined;
  /** Tasks of any of these kinds. Default: all. */
  kinds?: Array<TaskKind> | null | undefined;
  /** Tasks with exactly this label. Default: all. */
  label?: string | null | undefined;
  /** Tasks that run on any of the nodes with these names, at most 100, of those that are listed now. Default: all. */
  nodes?: Array<string> | null | undefined;
  /**
   * Tasks with this text as a part of their label, dataset, file name or a tag, or at the beginning of their ID. At most 200
   * characters. Case is ignored. Texts of one or two characters are not in the index: if few tasks have them, the list takes long.
   * Default: all.
   */
  search?: string | null | undefined;
  /** Tasks in any of these states. Default: all. */
  states?: Array<TaskState> | null | undefined;
  /** Tasks with any of these tags, at most 100. Default: all. */
  tags?: Array<string> | null | undefined;
};

/** Kind of a task. */
export type TaskKind =
  /** Task of a kind registered by the embedding program. */
  | 'CUSTOM'
  /** Export of a dataset to a CSV file. */
  | 'EXPORT'
  /** Import of a CSV file into a dataset. */
  | 'IMPORT'
  /** Computation of digits of pi into a zip file. */
  | 'PI'
  /** Timer that sends a webhook. */
  | 'TIMER';

/** Lifecycle state of a task. */
export type TaskState =
  /** Completed successfully. Final. */
  | 'COMPLETED'
  /** Failed. `resume` continues the task from its last checkpoint. */
  | 'FAILED'
  /** Paused. The task uses no CPU and holds no connection, lock or thread. */
  | 'PAUSED'
  /** Pause requested. The run has not stopped yet. */
  | 'PAUSING'
  /** Waiting for a node with a free slot. */
  | 'QUEUED'
  /** Running on a node. */
  | 'RUNNING'
  /** Waiting for a start time in the future, or for a retry after an error. */
  | 'SCHEDULED'
  /** Terminated. Everything the task wrote has been rolled back. Final. */
  | 'TERMINATED'
  /**
   * Termination requested. What the task wrote is being rolled back. If that fails eight times in a row, or permanently, the task
   * becomes FAILED.
   */
  | 'TERMINATING';

type TaskRow_CustomTask_Fragment = { __typename: 'CustomTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null };

type TaskRow_ExportTask_Fragment = { __typename: 'ExportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null };

type TaskRow_ImportTask_Fragment = { __typename: 'ImportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null };

type TaskRow_PiTask_Fragment = { __typename: 'PiTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null };

type TaskRow_TimerTask_Fragment = { __typename: 'TimerTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null };

export type TaskRowFragment =
  | TaskRow_CustomTask_Fragment
  | TaskRow_ExportTask_Fragment
  | TaskRow_ImportTask_Fragment
  | TaskRow_PiTask_Fragment
  | TaskRow_TimerTask_Fragment
;

export type TasksSubscriptionVariables = Exact<{
  filter?: TaskFilter | null | undefined;
  initial: number;
}>;


export type TasksSubscription = { task:
    | { __typename: 'CustomTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'ExportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'ImportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'PiTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'TimerTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
   };

export type StartImportMutationVariables = Exact<{
  input: StartImportInput;
}>;


export type StartImportMutation = { task: { __typename: 'ImportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null } };

export type PauseMutationVariables = Exact<{
  id: string;
}>;


export type PauseMutation = { task:
    | { __typename: 'CustomTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'ExportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'ImportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'PiTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'TimerTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
   };

export type ResumeMutationVariables = Exact<{
  id: string;
}>;


export type ResumeMutation = { task:
    | { __typename: 'CustomTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'ExportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'ImportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'PiTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'TimerTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
   };

export type TerminateMutationVariables = Exact<{
  id: string;
}>;


export type TerminateMutation = { task:
    | { __typename: 'CustomTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'ExportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'ImportTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'PiTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
    | { __typename: 'TimerTask', id: string, version: number, kind: TaskKind, state: TaskState, label: string | null, createdAt: string, allowedVerbs: Array<ControlVerb>, progress: { __typename: 'Progress', unit: ProgressUnit, done: number, total: number | null, fraction: number | null }, error: { __typename: 'TaskError', code: string, message: string } | null, result: { __typename: 'ResultFile', name: string, url: string } | null }
   };

export type DeleteTaskMutationVariables = Exact<{
  id: string;
}>;


export type DeleteTaskMutation = { id: string };

export const TaskRowFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskRow"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"version"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"state"}},{"kind":"Field","name":{"kind":"Name","value":"label"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"allowedVerbs"}},{"kind":"Field","name":{"kind":"Name","value":"progress"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"unit"}},{"kind":"Field","name":{"kind":"Name","value":"done"}},{"kind":"Field","name":{"kind":"Name","value":"total"}},{"kind":"Field","name":{"kind":"Name","value":"fraction"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"url"}}]}}]}}]} as unknown as DocumentNode<TaskRowFragment, unknown>;
export const TasksDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"Tasks"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"TaskFilter"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"initial"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","alias":{"kind":"Name","value":"task"},"name":{"kind":"Name","value":"taskChanges"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}},{"kind":"Argument","name":{"kind":"Name","value":"initial"},"value":{"kind":"Variable","name":{"kind":"Name","value":"initial"}}},{"kind":"Argument","name":{"kind":"Name","value":"progress"},"value":{"kind":"BooleanValue","value":true}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskRow"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskRow"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"version"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"state"}},{"kind":"Field","name":{"kind":"Name","value":"label"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"allowedVerbs"}},{"kind":"Field","name":{"kind":"Name","value":"progress"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"unit"}},{"kind":"Field","name":{"kind":"Name","value":"done"}},{"kind":"Field","name":{"kind":"Name","value":"total"}},{"kind":"Field","name":{"kind":"Name","value":"fraction"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"url"}}]}}]}}]} as unknown as DocumentNode<TasksSubscription, TasksSubscriptionVariables>;
export const StartImportDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"StartImport"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"StartImportInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","alias":{"kind":"Name","value":"task"},"name":{"kind":"Name","value":"startImport"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskRow"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskRow"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"version"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"state"}},{"kind":"Field","name":{"kind":"Name","value":"label"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"allowedVerbs"}},{"kind":"Field","name":{"kind":"Name","value":"progress"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"unit"}},{"kind":"Field","name":{"kind":"Name","value":"done"}},{"kind":"Field","name":{"kind":"Name","value":"total"}},{"kind":"Field","name":{"kind":"Name","value":"fraction"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"url"}}]}}]}}]} as unknown as DocumentNode<StartImportMutation, StartImportMutationVariables>;
export const PauseDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"Pause"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","alias":{"kind":"Name","value":"task"},"name":{"kind":"Name","value":"pause"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskRow"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskRow"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"version"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"state"}},{"kind":"Field","name":{"kind":"Name","value":"label"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"allowedVerbs"}},{"kind":"Field","name":{"kind":"Name","value":"progress"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"unit"}},{"kind":"Field","name":{"kind":"Name","value":"done"}},{"kind":"Field","name":{"kind":"Name","value":"total"}},{"kind":"Field","name":{"kind":"Name","value":"fraction"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"url"}}]}}]}}]} as unknown as DocumentNode<PauseMutation, PauseMutationVariables>;
export const ResumeDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"Resume"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","alias":{"kind":"Name","value":"task"},"name":{"kind":"Name","value":"resume"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskRow"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskRow"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"version"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"state"}},{"kind":"Field","name":{"kind":"Name","value":"label"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"allowedVerbs"}},{"kind":"Field","name":{"kind":"Name","value":"progress"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"unit"}},{"kind":"Field","name":{"kind":"Name","value":"done"}},{"kind":"Field","name":{"kind":"Name","value":"total"}},{"kind":"Field","name":{"kind":"Name","value":"fraction"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"url"}}]}}]}}]} as unknown as DocumentNode<ResumeMutation, ResumeMutationVariables>;
export const TerminateDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"Terminate"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","alias":{"kind":"Name","value":"task"},"name":{"kind":"Name","value":"terminate"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskRow"}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskRow"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"version"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"state"}},{"kind":"Field","name":{"kind":"Name","value":"label"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"allowedVerbs"}},{"kind":"Field","name":{"kind":"Name","value":"progress"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"unit"}},{"kind":"Field","name":{"kind":"Name","value":"done"}},{"kind":"Field","name":{"kind":"Name","value":"total"}},{"kind":"Field","name":{"kind":"Name","value":"fraction"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}},{"kind":"Field","name":{"kind":"Name","value":"result"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"url"}}]}}]}}]} as unknown as DocumentNode<TerminateMutation, TerminateMutationVariables>;
export const DeleteTaskDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"DeleteTask"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","alias":{"kind":"Name","value":"id"},"name":{"kind":"Name","value":"deleteTask"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}]}]}}]} as unknown as DocumentNode<DeleteTaskMutation, DeleteTaskMutationVariables>;