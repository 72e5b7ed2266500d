// Operations of the tour.
import { gql } from '@apollo/client';

export const startImport = gql`
  mutation StartImport($file: Upload!, $dataset: String!, $label: String!) {
    task: startImport(
      input: { source: { upload: $file }, dataset: $dataset, label: $label, maxRowsPerSecond: 400 }
    ) {
      id
    }
  }
`;

export const startExport = gql`
  mutation StartExport($dataset: String!, $label: String!) {
    task: startExport(input: { dataset: $dataset, label: $label }) {
      id
    }
  }
`;

export const startPi = gql`
  mutation StartPi($digits: Int!, $label: String!) {
    task: startPiJob(input: { digits: $digits, label: $label }) {
      id
    }
  }
`;

export const watch = gql`
  subscription Watch($id: ID!) {
    task: taskProgress(id: $id) {
      id
      state
      progress {
        done
        total
      }
      result {
        sha256
      }
      error {
        message
      }
    }
  }
`;

export const task = gql`
  query Task($id: ID!) {
    task(id: $id) {
      id
      state
      progress {
        done
      }
    }
  }
`;

export const pause = gql`
  mutation Pause($id: ID!) {
    task: pause(id: $id, reason: "The tour") {
      id
      state
    }
  }
`;

export const resume = gql`
  mutation Resume($id: ID!) {
    task: resume(id: $id, reason: "The tour") {
      id
      state
    }
  }
`;

export const terminate = gql`
  mutation Terminate($id: ID!) {
    task: terminate(id: $id, reason: "The tour") {
      id
      state
    }
  }
`;

export const count = gql`
  query Count($label: String!, $states: [TaskState!]) {
    tasks(filter: { label: $label, states: $states }) {
      totalCount
    }
  }
`;

export const rowCount = gql`
  query RowCount($dataset: String!) {
    dataset(name: $dataset) {
      rowCount
    }
  }
`;

export const deleteTask = gql`
  mutation DeleteTask($id: ID!) {
    deleteTask(id: $id)
  }
`;

export const dropDataset = gql`
  mutation DropDataset($dataset: String!) {
    dropDataset(name: $dataset)
  }
`;
