//! SQL of lists of tasks: which index is read, and in which ranges.

use std::collections::BTreeSet;

use super::dialect::SqlDialect;
use super::filter::{Filter, Page};
use crate::task::{State, TaskId};

/// Values of which a column must have one, as SQL: parameters or constants.
#[derive(Clone)]
struct Among {
    column: &'static str,
    values: Vec<String>,
}

impl Among {
    fn states(states: impl IntoIterator<Item = State>) -> Among {
        let values = states.into_iter().map(|state| format!("'{}'", state.as_str())).collect();
        Among { column: "state", values }
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

/// Maximum number of kinds whose tasks are read separately: SQLite takes 500 parts in a SELECT, and each kind has one for each state.
const MAX_KINDS: usize = 32;

/// Index that is read for a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListIndex {
    Key,
    State,
    Kind,
    Label,
}

impl ListIndex {
    /// Clause that names the index, unless each database takes it by itself.
    fn by(self, dialect: SqlDialect) -> String {
        match self {
            ListIndex::Key | ListIndex::State => String::new(),
            ListIndex::Kind => dialect.by("tasks_kind"),
            ListIndex::Label => dialect.by("tasks_label"),
        }
    }

    /// The ID as this index has it.
    fn id(self, dialect: SqlDialect) -> &'static str {
        match self {
            ListIndex::Key | ListIndex::State => "id",
            ListIndex::Kind | ListIndex::Label => dialect.indexed_id(),
        }
    }
}

/// Conditions of a filter in SQL, and the texts of their parameters. They contain only column names, states and parameters, never a
/// text of a client.
pub struct Conditions {
    ids: Option<Among>,
    kinds: Option<Among>,
    label: Option<Among>,
    states: Option<Among>,
    /// The texts of the parameters, in order.
    pub texts: Vec<String>,
}

impl Conditions {
    /// Returns the conditions of a filter.
    pub fn of(filter: &Filter) -> Conditions {
        let mut texts = Vec::new();
        let mut bind = |column, values: Vec<String>| {
            let places = (texts.len() + 1..).take(values.len()).map(|n| format!("${n}")).collect();
            texts.extend(values);
            Among { column, values: places }
        };
        let distinct = |kinds: &Vec<String>| BTreeSet::from_iter(kinds.clone()).into_iter().collect();
        Conditions {
            ids: filter.ids.as_ref().map(|ids| bind("id", ids.iter().map(TaskId::to_string).collect())),
            kinds: filter.kinds.as_ref().map(|kinds| bind("kind", distinct(kinds))),
            label: filter.label.clone().map(|label| bind("label", vec![label])),
            states: filter.stored_states().map(Among::states),
            texts,
        }
    }

    /// The conditions that a task must fulfil.
    fn all(&self) -> Vec<String> {
        [&self.ids, &self.kinds, &self.label, &self.states].into_iter().flatten().map(Among::any).collect()
    }

    /// The index that has the matching tasks in the order of their IDs.
    fn index(&self) -> ListIndex {
        match self {
            Conditions { ids: Some(_), .. } => ListIndex::Key,
            Conditions { label: Some(_), .. } => ListIndex::Label,
            Conditions { kinds: Some(kinds), .. } if kinds.values.len() <= MAX_KINDS => ListIndex::Kind,
            Conditions { kinds: None, states: None, .. } => ListIndex::Key,
            Conditions { .. } => ListIndex::State,
        }
    }

    /// The ranges of that index, each as its conditions. Read as one, a list of the few running tasks, or of those of a rare kind, would
    /// read all finished ones.
    fn ranges(&self) -> Vec<Vec<String>> {
        let states = || self.states.clone().unwrap_or_else(|| Among::states(State::ALL)).each();
        let in_each_state = |range: Vec<String>| {
            states().into_iter().map(move |state| [&range[..], &[state]].concat()).collect::<Vec<_>>()
        };
        let any = |among: &Option<Among>| among.as_ref().map(Among::any);
        match (self.index(), &self.kinds) {
            (ListIndex::Key, _) => vec![self.all()],
            (ListIndex::Kind, Some(kinds)) => {
                kinds.each().into_iter().flat_map(|kind| in_each_state(vec![kind])).collect()
            }
            _ => in_each_state([any(&self.label), any(&self.kinds)].into_iter().flatten().collect()),
        }
    }

    /// SELECT of a page, which begins with `select`. Adds the parameters of its bounds. Each range is read in order and up to the limit.
    pub fn page(&mut self, dialect: SqlDialect, page: Page, select: &str) -> String {
        let (by, ranges) = (self.index().by(dialect), self.ranges());
        let id = self.index().id(dialect);
        let mut bounds = Vec::new();
        for (bound, sign) in [(page.after, '<'), (page.before, '>')] {
            if let Some(bound) = bound {
                self.texts.push(bound.to_string());
                bounds.push(format!("{id} {sign} ${}", self.texts.len()));
            }
        }
        let direction = if page.from_end { "ASC" } else { "DESC" };
        let order = format!("ORDER BY {id} {direction} LIMIT {}", page.limit);
        let part = |range: &Vec<String>| format!("{select}{by} {} {order}", where_all(&[&range[..], &bounds].concat()));
        match &*ranges {
            [] => part(&self.all()),
            [range] => part(range),
            ranges => {
                let parts: Vec<_> =
                    ranges.iter().map(|range| format!("SELECT * FROM ({}) AS part", part(range))).collect();
                format!("{} ORDER BY id {direction} LIMIT {}", parts.join(" UNION ALL "), page.limit)
            }
        }
    }

    /// SELECT of the number of matching tasks.
    pub fn count(&self, dialect: SqlDialect) -> String {
        format!("SELECT COUNT(*) AS n FROM tasks{} {}", self.index().by(dialect), where_all(&self.all()))
    }
}

fn where_all(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(filter: &Filter) -> String {
        let page = Page { limit: 7, after: Some(TaskId::from(uuid::Uuid::nil())), ..Page::default() };
        Conditions::of(filter).page(SqlDialect::Sqlite, page, "SELECT id FROM tasks")
    }

    #[test]
    fn each_range_of_an_index_is_read_in_order_up_to_the_limit() {
        let of_states = Filter { states: Some(vec![State::Running, State::Failed]), ..Filter::default() };
        let text = selected(&of_states);
        for state in ["RUNNING", "FINISHING", "FAILED"] {
            let part = format!("FROM tasks WHERE state = '{state}' AND id < $1 ORDER BY id DESC LIMIT 7) AS part");
            assert!(text.contains(&part), "{text}");
        }
        assert!(text.ends_with(") AS part ORDER BY id DESC LIMIT 7"), "{text}");
        let kinds = Some(["pi", "export", "pi"].map(str::to_owned).to_vec());
        let text = selected(&Filter { kinds: kinds.clone(), ..of_states.clone() });
        assert!(
            text.contains(" INDEXED BY tasks_kind WHERE kind = $2 AND state = 'FAILED' AND id < $3 ORDER"),
            "{text}"
        );
        assert_eq!(text.matches("LIMIT 7) AS part").count(), 6, "{text}");
        let text = selected(&Filter { kinds, label: Some("a".to_owned()), ..of_states });
        let part =
            " INDEXED BY tasks_label WHERE label = $3 AND kind IN ($1, $2) AND state = 'FAILED' AND id < $4 ORDER";
        assert!(text.contains(part), "{text}");
        assert!(selected(&Filter { states: Some(Vec::new()), ..Filter::default() }).contains("WHERE FALSE"));
        assert!(!selected(&Filter::default()).contains("state ="));
    }
}
