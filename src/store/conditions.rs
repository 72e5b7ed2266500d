//! Conditions of a filter in SQL, and the index that has the matching tasks.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::dialect::SqlDialect;
use super::filter::{COUNTED, Filter, READ, SearchText, TimeRange};
use crate::task::{State, TaskId};

/// Maximum number of values whose tasks are read separately: SQLite takes 500 parts in a SELECT, and each value has one for each
/// state.
const MAX_VALUES: usize = 32;

/// Maximum time between the time in an ID and that of the creation of its task.
const ID_SKEW: SignedDuration = SignedDuration::from_secs(5);

/// Values of which a column must have one, as SQL: parameters or constants.
#[derive(Clone)]
pub struct OneOf {
    column: &'static str,
    values: Vec<String>,
}

impl OneOf {
    fn states(states: impl IntoIterator<Item = State>) -> OneOf {
        let values = states.into_iter().map(|state| format!("'{}'", state.as_str())).collect();
        OneOf { column: "state", values }
    }

    /// Condition that the column has one of the values.
    fn any(&self) -> String {
        match &*self.values {
            [] => "FALSE".to_owned(),
            [value] => format!("{} = {value}", self.column),
            values => format!("{} IN ({})", self.column, values.join(", ")),
        }
    }

    /// A condition for each value.
    fn each(&self) -> Vec<String> {
        self.values.iter().map(|value| format!("{} = {value}", self.column)).collect()
    }
}

/// Index that has the tasks of a filter in the order of their IDs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ListIndex {
    /// The primary key.
    Key,
    /// That of the states.
    State,
    /// An index of a column, of the state and of the ID.
    Column(&'static str),
    /// The table of tags, which has the state and the ID.
    Tags,
}

/// The table of tags, with names that the table of tasks does not have.
const TAGGED: &str = "(SELECT tag AS of_tag, state AS of_state, task_id FROM task_tags) AS tagged";

impl ListIndex {
    /// The tables to read. Names the index, unless each database selects it without help.
    pub fn tables(self, dialect: SqlDialect) -> String {
        match self {
            ListIndex::Key | ListIndex::State => "tasks".to_owned(),
            ListIndex::Column(index) => format!("tasks{}", dialect.by(index)),
            ListIndex::Tags => format!("{TAGGED} CROSS JOIN tasks"),
        }
    }

    /// The ID as this index has it.
    pub fn id(self, dialect: SqlDialect) -> &'static str {
        match self {
            ListIndex::Key | ListIndex::State => "id",
            ListIndex::Column(_) => dialect.indexed_id(),
            ListIndex::Tags => "task_id",
        }
    }
}

/// Values that an index has.
struct Indexed {
    index: ListIndex,
    one_of: OneOf,
}

impl Indexed {
    /// Condition that a task has one of the values.
    fn any(&self) -> String {
        match self.index {
            ListIndex::Tags => is_tagged(&self.one_of.any(), "state", "id"),
            _ => self.one_of.any(),
        }
    }

    /// Conditions for each value in each of the states. A task with several of the tags is one_of those of the first.
    fn each(&self, states: &OneOf) -> Vec<Vec<String>> {
        let ListIndex::Tags = self.index else {
            return product(&self.one_of.each(), &states.each());
        };
        let of_states = OneOf { column: "of_state", ..states.clone() };
        let ranges = self.one_of.each().into_iter().enumerate().flat_map(|(n, tag)| {
            let earlier = OneOf { column: "of_tag", values: self.one_of.values[..n].to_vec() };
            let is_new =
                (n > 0).then(|| format!("NOT {}", is_tagged(&earlier.any(), "tagged.of_state", "tagged.task_id")));
            let of_tag = [vec![tag, "task_id = id".to_owned()], Vec::from_iter(is_new)].concat();
            of_states.each().into_iter().map(move |state| [&of_tag[..], &[state]].concat())
        });
        ranges.collect()
    }
}

/// Condition that the task with that state and ID has tags that fulfil `condition`.
fn is_tagged(condition: &str, state: &str, id: &str) -> String {
    let tags = TAGGED.replace("AS tagged", "AS tags_of_task");
    format!("EXISTS (SELECT 1 FROM {tags} WHERE {condition} AND of_state = {state} AND tags_of_task.task_id = {id})")
}

/// Each of the first conditions with each of the others.
fn product(first: &[String], others: &[String]) -> Vec<Vec<String>> {
    first.iter().flat_map(|one| others.iter().map(move |other| vec![one.clone(), other.clone()])).collect()
}

/// Parameters of a search.
struct SearchTerms {
    /// Parameter of the text.
    text: String,
    /// Parameter of its trigrams, in the syntax of the database. None if the text has none.
    trigrams: Option<String>,
    /// Parameters of the lowest and the highest ID that begin with the text. None if none can.
    ids: Option<(String, String)>,
}

/// Conditions of a filter, and the texts of their parameters. They contain only column names, states, numbers and parameters,
/// never a text of a client.
pub struct Conditions {
    ids: Option<OneOf>,
    /// Columns with an index of their own, the rarest values first.
    columns: Vec<Indexed>,
    states: Option<OneOf>,
    search: Option<SearchTerms>,
    owners: Option<OneOf>,
    ranges: Vec<String>,
    created: TimeRange,
    dialect: SqlDialect,
    /// The texts of the parameters, in order.
    pub texts: Vec<String>,
}

impl Conditions {
    /// Returns the conditions of a filter.
    pub fn of(filter: &Filter, dialect: SqlDialect) -> Conditions {
        let mut texts = Vec::new();
        let mut bind = |column, values: Vec<String>| {
            let places = (texts.len() + 1..).take(values.len()).map(|n| format!("${n}")).collect();
            texts.extend(values);
            OneOf { column, values: places }
        };
        let distinct = |values: &Vec<String>| BTreeSet::from_iter(values.clone()).into_iter().collect();
        let ids = filter.ids.as_ref().map(|ids| bind("id", ids.iter().map(TaskId::to_string).collect()));
        let label = filter.label.clone().map(|label| vec![label]);
        let created_by = filter.created_by.clone().map(|by| vec![by]);
        let column = ListIndex::Column;
        let columns = [
            (column("tasks_label"), "label", &label),
            (column("tasks_dataset"), "dataset", &filter.datasets),
            (ListIndex::Tags, "of_tag", &filter.tags),
            (column("tasks_error"), "error_code", &filter.error_codes),
            (column("tasks_creator"), "created_by", &created_by),
            (column("tasks_kind"), "kind", &filter.kinds),
        ];
        let columns = columns.into_iter().filter_map(|(index, column, values)| Some((index, column, values.as_ref()?)));
        let columns =
            columns.map(|(index, column, values)| Indexed { index, one_of: bind(column, distinct(values)) }).collect();
        let owners = filter.owners.as_ref().map(|owners| bind("owner", distinct(owners)));
        let states = filter.stored_states().map(OneOf::states);
        let ranges = [range("created_at", filter.created), range("finished_at", filter.finished)].concat();
        let mut conditions =
            Conditions { ids, columns, states, search: None, owners, ranges, created: filter.created, dialect, texts };
        conditions.search = filter.search.as_ref().map(|search| conditions.search_terms(search));
        conditions
    }

    /// Adds a parameter. Returns its place.
    pub fn bind(&mut self, text: String) -> String {
        self.texts.push(text);
        format!("${}", self.texts.len())
    }

    fn search_terms(&mut self, search: &SearchText) -> SearchTerms {
        let trigrams = search.trigrams();
        let ids = search.may_begin_id().then(|| id_range(search.as_str()));
        SearchTerms {
            text: self.bind(search.as_str().to_owned()),
            trigrams: (!trigrams.is_empty()).then(|| self.bind(self.dialect.trigrams(&trigrams))),
            ids: ids.map(|(first, last)| (self.bind(first), self.bind(last))),
        }
    }

    /// The conditions that a task must fulfil.
    pub fn all(&self) -> Vec<String> {
        let mut all: Vec<_> = self.ids.iter().chain(&self.states).map(OneOf::any).collect();
        all.extend(self.columns.iter().map(Indexed::any));
        all.extend(self.residual());
        all
    }

    /// The conditions that no index has.
    pub fn residual(&self) -> Vec<String> {
        let found = self.search.as_ref().map(|terms| self.dialect.contains(&terms.text));
        self.ranges.iter().cloned().chain(self.owners.as_ref().map(OneOf::any)).chain(found).collect()
    }

    /// Bounds of IDs that follow from the range of creation: IDs begin with the time at which they are made.
    pub fn id_bounds(&self, id: &str) -> Vec<String> {
        let TimeRange { after, before } = self.created;
        let first =
            after.map(|after| format!("{id} >= '{}'", id_at(after.saturating_sub(ID_SKEW).unwrap_or(after), 0)));
        let last =
            before.map(|before| format!("{id} <= '{}'", id_at(before.saturating_add(ID_SKEW).unwrap_or(before), 0xff)));
        first.into_iter().chain(last).collect()
    }

    /// The index that has the matching tasks in the order of their IDs.
    pub fn index(&self) -> ListIndex {
        match self.driving() {
            _ if self.ids.is_some() => ListIndex::Key,
            Some(driving) => driving.index,
            None if self.states.is_none() && self.columns.is_empty() => ListIndex::Key,
            None => ListIndex::State,
        }
    }

    fn driving(&self) -> Option<&Indexed> {
        self.columns.iter().find(|indexed| indexed.one_of.values.len() <= MAX_VALUES)
    }

    /// Maximum number of matching tasks that are counted: fewer if they are read, because one index does not have all conditions.
    pub fn max_count(&self) -> u32 {
        let is_indexed = self.columns.len() <= 1 && self.residual().is_empty() && self.index() != ListIndex::Tags;
        if is_indexed { COUNTED } else { READ }
    }

    /// The ranges of that index, each as its conditions, with the other conditions that have an index. Read as one, a list of the few
    /// running tasks, or of those of a rare kind, would read all finished ones.
    pub fn ranges(&self) -> Vec<Vec<String>> {
        let states = self.states.clone().unwrap_or_else(|| OneOf::states(State::ALL));
        let (index, others) = (self.index(), self.columns.iter());
        let others: Vec<_> = others.filter(|column| column.index != index).map(Indexed::any).collect();
        let ranges = match (index, self.driving()) {
            (ListIndex::Key, _) => vec![self.ids.iter().chain(&self.states).map(OneOf::any).collect()],
            (ListIndex::State, _) | (_, None) => states.each().into_iter().map(|state| vec![state]).collect(),
            (_, Some(driving)) => driving.each(&states),
        };
        ranges.into_iter().map(|range| [range, others.clone()].concat()).collect()
    }

    /// SELECT of the IDs, as `found`, of the tasks that the search finds. None if only a scan of all tasks finds them.
    pub fn found(&self) -> Option<String> {
        let terms = self.search.as_ref()?;
        let texts = self.dialect.search(&terms.text, terms.trigrams.as_ref()?);
        let ids = terms.ids.as_ref().map(|(first, last)| {
            format!(
                " UNION SELECT id FROM tasks WHERE id >= {first} AND id <= {last} AND {}",
                self.dialect.begins("id", &terms.text)
            )
        });
        Some(format!("SELECT task_id AS found FROM ({texts}) AS texts{}", ids.unwrap_or_default()))
    }
}

/// Condition that the column is in the range.
fn range(column: &str, range: TimeRange) -> Vec<String> {
    let after = range.after.map(|after| format!("{column} > {}", after.as_microsecond()));
    let before = range.before.map(|before| format!("{column} < {}", before.as_microsecond()));
    after.into_iter().chain(before).collect()
}

/// Lowest ID of that millisecond if `rest` is 0, highest if it is 255.
fn id_at(at: Timestamp, rest: u8) -> Uuid {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[rest; 10]).into_uuid()
}

/// The lowest and the highest ID that begin with a text.
fn id_range(text: &str) -> (String, String) {
    let padded = |template: &str| format!("{text}{}", &template[text.len()..]);
    (padded("00000000-0000-0000-0000-000000000000"), padded("ffffffff-ffff-ffff-ffff-ffffffffffff"))
}
