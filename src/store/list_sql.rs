//! SQL of lists of tasks: which index is read, and in which ranges.

use super::conditions::{Conditions, ListIndex};
use super::dialect::SqlDialect;
use super::filter::{ListCursor, ListOrder, Page, UNFINISHED};
use crate::task::State;

/// Number of tasks that are read in the order of a list before an index of its filter is used.
pub const WALKED: u32 = 2000;

/// Maximum number of tasks that are sorted: more are read in the order of the list.
pub const SORTED: u32 = 5000;

/// Statements that read a page.
pub struct PageSql {
    conditions: Conditions,
    dialect: SqlDialect,
    page: Page,
    columns: String,
    /// True to leave out the conditions that the index does not have.
    is_walk: bool,
}

impl PageSql {
    /// The statements for a page. They select `columns`.
    pub fn new(conditions: Conditions, dialect: SqlDialect, page: Page, columns: &str) -> PageSql {
        PageSql { conditions, dialect, page, columns: columns.to_owned(), is_walk: false }
    }

    /// Returns the parameters of the statements.
    pub fn into_parameters(self) -> Vec<String> {
        self.conditions.texts
    }

    /// SELECT that reads in the order of the list and up to the limit.
    pub fn ordered(&mut self) -> String {
        match self.page.order {
            ListOrder::CreatedDesc | ListOrder::CreatedAsc => self.by_creation(),
            ListOrder::UpdatedDesc => {
                let part = self.by_key("tasks_updated", self.dialect.last_update(), None);
                self.united(vec![part])
            }
            ListOrder::PriorityDesc => {
                let others = self.by_key("tasks_prioritized", "-priority", Some("priority <> 0"));
                let most = self.of_no_priority();
                self.united(vec![others, most])
            }
            ListOrder::FinishedDesc => {
                let finished = self.by_key("tasks_finished", "finished_at", Some("finished_at IS NOT NULL"));
                let parts = std::iter::once(finished).chain(self.unfinished()).collect();
                self.united(parts)
            }
        }
    }

    /// SELECT that finds the tasks by the index of the filter, and sorts them.
    pub fn sorted(&mut self) -> String {
        let tables = self.conditions.index().tables(self.dialect);
        let bounds = self.bounds(&self.key(), "id");
        let residual = self.conditions.residual();
        let part = |range: &Vec<String>| {
            let conditions = where_all(&[&range[..], &residual, &bounds].concat());
            format!("SELECT {} FROM {tables} {conditions}", self.columns)
        };
        let parts = self.conditions.ranges().iter().map(part).collect();
        self.united(parts)
    }

    /// SELECT that finds the tasks by the index of texts, and sorts them. None if the text is too short for the index.
    pub fn found(&mut self) -> Option<String> {
        let found = self.conditions.found()?;
        let all = [self.conditions.all(), self.bounds(&self.key(), "id")].concat();
        let columns = &self.columns;
        let part = format!(
            "SELECT {columns} FROM ({found}) AS found JOIN tasks ON tasks.id = found.found {}",
            where_all(&all)
        );
        Some(self.united(vec![part]))
    }

    /// SELECT of the matching ones among the first tasks of the order.
    pub fn walked(&mut self) -> String {
        let walk = self.walk();
        let (key, direction, limit) = (self.order_key(), self.direction(), self.page.limit);
        let all = where_all(&self.conditions.all());
        format!("SELECT {} FROM ({walk}) AS walk {all} ORDER BY {key}id {direction} LIMIT {limit}", self.columns)
    }

    /// SELECT of the number of tasks that `walked` examines.
    pub fn walk_length(&mut self) -> String {
        format!("SELECT COUNT(*) AS n FROM ({}) AS walk", self.walk())
    }

    /// The first tasks of the order, and the columns that conditions need.
    fn walk(&mut self) -> String {
        let (page, columns) = (self.page, self.columns.clone());
        self.page.limit = WALKED;
        self.is_walk = true;
        if columns == "id" {
            self.columns =
                "id, search_text, priority, created_at, started_at, finished_at, paused_at, updated_at".to_owned();
        }
        let walk = self.ordered();
        (self.page, self.columns, self.is_walk) = (page, columns, false);
        walk
    }

    /// SELECT of the number of tasks that the index of the filter has, up to one more than can be sorted.
    pub fn indexed(&mut self) -> String {
        let (tables, limit) = (self.conditions.index().tables(self.dialect), SORTED + 1);
        let part = |range: &Vec<String>| {
            format!("SELECT * FROM (SELECT 1 AS one FROM {tables} {} LIMIT {limit}) AS part", where_all(range))
        };
        let parts: Vec<_> = self.conditions.ranges().iter().map(part).collect();
        format!(
            "SELECT COUNT(*) AS n FROM (SELECT 1 FROM ({}) AS parts LIMIT {limit}) AS indexed",
            parts.join(" UNION ALL ")
        )
    }

    /// SELECT of the number of matching tasks, up to the limit.
    pub fn count(&mut self) -> String {
        format!("SELECT COUNT(*) AS n FROM ({} LIMIT {}) AS matching", self.matching(), self.page.limit)
    }

    /// SELECT of a row for each matching task.
    fn matching(&self) -> String {
        let (all, index) = (where_all(&self.conditions.all()), self.conditions.index());
        if let Some(found) = self.conditions.found() {
            return format!("SELECT 1 AS one FROM ({found}) AS found JOIN tasks ON tasks.id = found.found {all}");
        }
        let tables = index.tables(self.dialect);
        if index != ListIndex::Tags {
            return format!("SELECT 1 AS one FROM {tables} {all}");
        }
        let residual = self.conditions.residual();
        let part = |range: &Vec<String>| {
            format!("SELECT 1 AS one FROM {tables} {}", where_all(&[&range[..], &residual].concat()))
        };
        let parts: Vec<_> = self.conditions.ranges().iter().map(part).collect();
        parts.join(" UNION ALL ")
    }

    fn by_creation(&mut self) -> String {
        let index = self.conditions.index();
        let (tables, id) = (index.tables(self.dialect), index.id(self.dialect));
        let bounds = [self.bounds("0", id), self.conditions.id_bounds(id)].concat();
        let residual = if self.is_walk { Vec::new() } else { self.conditions.residual() };
        let (direction, limit) = (self.direction(), self.page.limit);
        let part = |range: &Vec<String>| {
            let conditions = where_all(&[&range[..], &residual, &bounds].concat());
            format!("SELECT {} FROM {tables} {conditions} ORDER BY {id} {direction} LIMIT {limit}", self.columns)
        };
        let parts: Vec<_> = self.conditions.ranges().iter().map(part).collect();
        self.united(parts)
    }

    /// Part of a list that is read by an index of the key of its order.
    fn by_key(&mut self, index: &str, key: &str, only: Option<&str>) -> String {
        let (by, id) = (self.dialect.by(index), self.dialect.indexed_id());
        let only = only.map(str::to_owned).into_iter().collect();
        let conditions = where_all(&[self.all(), only, self.bounds(key, id)].concat());
        let (direction, limit) = (self.direction(), self.page.limit);
        format!(
            "SELECT {} FROM tasks{by} {conditions} ORDER BY {key} {direction}, {id} {direction} LIMIT {limit}",
            self.columns
        )
    }

    /// The unfinished tasks, for the order by the end. They have the same key.
    fn unfinished(&mut self) -> Vec<String> {
        let states = State::ALL.into_iter().filter(|state| !state.is_final());
        let bounds = self.bounds(&UNFINISHED.to_string(), "id");
        let (direction, limit) = (self.direction(), self.page.limit);
        let all = self.all();
        let part = |state: State| {
            let of_state = [format!("state = '{}'", state.as_str())];
            let conditions = where_all(&[&of_state[..], &all, &bounds].concat());
            format!("SELECT {} FROM tasks {conditions} ORDER BY id {direction} LIMIT {limit}", self.columns)
        };
        states.map(part).collect()
    }

    fn all(&self) -> Vec<String> {
        if self.is_walk { Vec::new() } else { self.conditions.all() }
    }

    /// The tasks of priority 0, which most have, for the order by priority.
    fn of_no_priority(&mut self) -> String {
        let only = vec!["priority = 0".to_owned()];
        let conditions = where_all(&[self.all(), only, self.bounds("(0)", "id")].concat());
        format!(
            "SELECT {} FROM tasks {conditions} ORDER BY id {} LIMIT {}",
            self.columns,
            self.direction(),
            self.page.limit
        )
    }

    /// The parts as one list, in its order.
    fn united(&self, parts: Vec<String>) -> String {
        let (direction, limit) = (self.direction(), self.page.limit);
        let key = self.order_key();
        let part = match &*parts {
            [] => format!("SELECT {} FROM tasks WHERE FALSE", self.columns),
            [part] => part.clone(),
            parts => parts
                .iter()
                .map(|part| format!("SELECT * FROM ({part}) AS part"))
                .collect::<Vec<_>>()
                .join(" UNION ALL "),
        };
        format!("SELECT * FROM ({part}) AS list ORDER BY {key}id {direction} LIMIT {limit}")
    }

    /// The key of the order as the first part of an ORDER BY.
    fn order_key(&self) -> String {
        match self.page.order {
            ListOrder::CreatedDesc | ListOrder::CreatedAsc => String::new(),
            _ => format!("{} {}, ", self.key(), self.direction()),
        }
    }

    /// The key of the order, of a selected task.
    fn key(&self) -> String {
        match self.page.order {
            ListOrder::CreatedDesc | ListOrder::CreatedAsc => "0".to_owned(),
            ListOrder::PriorityDesc => "-priority + 0".to_owned(),
            ListOrder::FinishedDesc => format!("COALESCE(finished_at, {UNFINISHED})"),
            // PostgreSQL would read all tasks in this order if the index had the same expression.
            ListOrder::UpdatedDesc => format!("{} + 0", self.dialect.last_update()),
        }
    }

    fn direction(&self) -> &'static str {
        if self.page.order.is_descending() == self.page.from_end { "ASC" } else { "DESC" }
    }

    /// Conditions that a task is within the bounds of the page.
    fn bounds(&mut self, key: &str, id: &str) -> Vec<String> {
        let (later, earlier) = if self.page.order.is_descending() { ('<', '>') } else { ('>', '<') };
        let bounds = [(self.page.after, later), (self.page.before, earlier)];
        let bound = |(cursor, sign): (Option<ListCursor>, char)| {
            let ListCursor { key: at, id: of } = cursor?;
            let place = self.conditions.bind(of.to_string());
            Some(match key {
                "0" => format!("{id} {sign} {place}"),
                key => format!("{key} {sign}= {at} AND ({key} {sign} {at} OR {id} {sign} {place})"),
            })
        };
        bounds.into_iter().filter_map(bound).collect()
    }
}

/// The conditions as a clause.
pub fn where_all(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}
