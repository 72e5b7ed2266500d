//! Numbers of matching tasks by kind and state. Each answer reads a bounded number of tasks.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::filter::{COUNTED, Filter, Page, READ};
use super::list::ListStatement;
use super::{Error, Store, row, sql};
use crate::access::Caller;
use crate::numbers::unsigned;
use crate::task::State;

/// Number of tasks of each kind and state that are counted first. What the small ones leave of the maximum is shared by the others.
const FIRST: u64 = 1000;

/// Maximum number of kinds.
const KINDS: usize = 32;

/// Number of matching tasks of one kind and state, at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Name of the kind.
    pub kind: String,
    /// State, as the store has it.
    pub state: State,
    /// Number of tasks. There are more if it is not exact.
    pub count: u64,
    /// True if all were counted.
    pub exact: bool,
}

impl Store {
    /// Counts the matching tasks by kind and state, 100,000 at most, and 10,000 if the filter has conditions other than those.
    #[tracing::instrument(target = "otlp.store", name = "store.tallies", skip_all, fields(%caller))]
    pub async fn tallies(&self, caller: &Caller, filter: &Filter) -> Result<Vec<Tally>, Error> {
        match filter.only_kinds_and_states() {
            true => self.indexed_tallies(filter).await,
            false => self.read_tallies(filter).await,
        }
    }

    async fn indexed_tallies(&self, filter: &Filter) -> Result<Vec<Tally>, Error> {
        let kinds = self.stored_kinds(filter).await?;
        let states: Vec<_> = filter.stored_states().map_or_else(|| State::ALL.to_vec(), Iterator::collect);
        let groups = kinds.iter().flat_map(|kind| states.iter().map(move |state| (kind.clone(), *state)));
        let mut tallies = self.tallies_up_to(groups.collect(), FIRST).await?;
        let large: Vec<_> =
            tallies.extract_if(.., |tally| !tally.exact).map(|tally| (tally.kind, tally.state)).collect();
        let counted: u64 = tallies.iter().map(|tally| tally.count).sum();
        if !large.is_empty() {
            let share = u64::from(COUNTED).saturating_sub(counted) / large.len() as u64;
            tallies.extend(self.tallies_up_to(large, share.max(FIRST)).await?);
        }
        Ok(tallies)
    }

    /// Counts the tasks of each kind and state, up to `limit`.
    async fn tallies_up_to(&self, groups: Vec<(String, State)>, limit: u64) -> Result<Vec<Tally>, Error> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let by = self.sql.dialect.by("tasks_kind");
        let one = |place: usize, state: State| {
            let state = state.as_str();
            format!(
                "SELECT ${place} AS kind, '{state}' AS state, (SELECT COUNT(*) FROM (SELECT 1 FROM tasks{by} \
                 WHERE kind = ${place} AND state = '{state}' LIMIT {}) AS counted) AS n",
                limit + 1
            )
        };
        let parts: Vec<_> = groups.iter().enumerate().map(|(n, (_, state))| one(n + 1, *state)).collect();
        let parameters = groups.into_iter().map(|(kind, _)| kind).collect();
        let rows =
            self.read(ListStatement::new(parts.join(" UNION ALL "), parameters).query().fetch_all(&self.pool)).await?;
        let tallies = rows.iter().map(|row| tally(row, limit)).collect::<sqlx::Result<Vec<_>>>()?;
        Ok(tallies.into_iter().filter(|tally| tally.count > 0).collect())
    }

    /// Returns the kinds that any task has, of those of the filter.
    async fn stored_kinds(&self, filter: &Filter) -> Result<Vec<String>, Error> {
        if let Some(kinds) = &filter.kinds {
            let mut kinds = kinds.clone();
            kinds.sort();
            kinds.dedup();
            kinds.truncate(KINDS);
            return Ok(kinds);
        }
        let rows = self.read(sqlx::query(sql::KINDS).fetch_all(&self.pool)).await?;
        Ok(rows.iter().take(KINDS).map(|row| row.try_get("kind")).collect::<sqlx::Result<_>>()?)
    }

    async fn read_tallies(&self, filter: &Filter) -> Result<Vec<Tally>, Error> {
        let page = Page { limit: READ, ..Page::default() };
        let matching = self.statement(filter, page, "id, kind, state").await?;
        let groups =
            |list: &str| format!("SELECT kind, state, COUNT(*) AS n FROM ({list}) AS matching GROUP BY kind, state");
        let rows = self.read(matching.wrapped(groups).query().fetch_all(&self.pool)).await?;
        let mut tallies = rows.iter().map(|row| tally(row, READ.into())).collect::<sqlx::Result<Vec<_>>>()?;
        // There may be more.
        if tallies.iter().map(|tally| tally.count).sum::<u64>() >= READ.into() {
            tallies.iter_mut().for_each(|tally| tally.exact = false);
        }
        Ok(tallies)
    }
}

fn tally(row: &AnyRow, limit: u64) -> sqlx::Result<Tally> {
    let count = unsigned(row.try_get("n")?);
    Ok(Tally {
        kind: row.try_get("kind")?,
        state: row::parsed(row, "state")?,
        count: count.min(limit),
        exact: count <= limit,
    })
}
