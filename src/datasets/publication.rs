//! Publishing a staging, as a pure table: the steps that make its rows visible, or the reason for a refusal.
//!
//! Each database executes the steps of [`ImportPlan::publish_steps`] in one transaction. The same table refuses an
//! import when it starts, before it reads the file.

use super::{Column, Dataset, Error, ImportPlan, PublishMode};

/// User of the dataset's name when an import starts or is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameUse<'a> {
    /// Nothing.
    Free,
    /// A dataset.
    Dataset(&'a Dataset),
    /// A table or view that no import created.
    OtherTable,
}

/// A step of publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublishStep {
    /// Removes the dataset from the catalog and retires its data ([`Retirement`]).
    RetireExisting,
    /// Lists the staged rows as a new dataset.
    CreateFromStaging,
    /// Adds the staged rows to the dataset, numbered from `after` + 1.
    AppendStaging {
        /// Number of rows in the dataset.
        after: u64,
    },
}

/// Removal of data that no dataset contains any more: a segment or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retirement {
    /// Dropped in the same transaction.
    DropNow,
    /// Kept for now: dropped in the background, or when the last pin is released.
    SetAside,
}

impl Retirement {
    /// Decides by whether a pin reads the data, and whether dropping it would delay the transaction for long.
    pub(super) fn of(pinned: bool, slow_to_drop: bool) -> Retirement {
        match (pinned, slow_to_drop) {
            (false, false) => Retirement::DropNow,
            (true, _) | (false, true) => Retirement::SetAside,
        }
    }
}

impl ImportPlan {
    /// Returns the steps that publish this import in a database with at most `max_columns` columns.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Missing`], [`Error::Columns`], [`Error::TooManyColumns`]; [`Error::Failed`] without
    /// a column, and if another table has the name.
    pub(super) fn publish_steps(&self, existing: NameUse<'_>, max_columns: usize) -> Result<Vec<PublishStep>, Error> {
        let steps = match (self.mode, existing) {
            (PublishMode::Create | PublishMode::Replace, NameUse::Free) => vec![PublishStep::CreateFromStaging],
            (PublishMode::Create, NameUse::Dataset(_) | NameUse::OtherTable) => {
                return Err(Error::Exists(self.dataset.clone()));
            }
            (PublishMode::Replace, NameUse::Dataset(_)) => {
                vec![PublishStep::RetireExisting, PublishStep::CreateFromStaging]
            }
            (PublishMode::Append, NameUse::Free) => return Err(Error::Missing(self.dataset.clone())),
            (PublishMode::Append, NameUse::Dataset(dataset)) => {
                self.check_columns(dataset)?;
                vec![PublishStep::AppendStaging { after: dataset.rows }]
            }
            (PublishMode::Replace | PublishMode::Append, NameUse::OtherTable) => {
                return Err(Error::other_table(&self.dataset));
            }
        };
        match self.columns.len() {
            0 => Err(Error::Failed("a dataset needs at least one column".into())),
            found if found > max_columns => Err(Error::TooManyColumns { found, limit: max_columns }),
            _ => Ok(steps),
        }
    }

    fn check_columns(&self, dataset: &Dataset) -> Result<(), Error> {
        if dataset.columns == self.columns {
            return Ok(());
        }
        let names = |columns: &[Column]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let (mut expected, mut found) = (names(&dataset.columns), names(&self.columns));
        if expected == found {
            let typed = |columns: &[Column]| columns.iter().map(ToString::to_string).collect();
            (expected, found) = (typed(&dataset.columns), typed(&self.columns));
        }
        Err(Error::Columns { dataset: dataset.name.clone(), expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ColumnType;
    use super::PublishStep::{AppendStaging, CreateFromStaging, RetireExisting};
    use super::*;

    const MAX_COLUMNS: usize = 3;

    fn plan(mode: PublishMode, columns: &[&str]) -> ImportPlan {
        let columns = columns.iter().map(|name| Column::text(*name)).collect();
        ImportPlan { dataset: "sales".parse().unwrap(), mode, columns }
    }

    fn dataset(columns: &[&str]) -> Dataset {
        let columns = columns.iter().map(|name| Column::text(*name)).collect();
        let created_at = jiff::Timestamp::UNIX_EPOCH;
        Dataset { name: "sales".parse().unwrap(), columns, rows: 7, created_at, updated_at: created_at }
    }

    #[test]
    fn each_mode_has_its_steps_or_its_refusal() {
        let there = dataset(&["a", "b"]);
        let (exists, missing) = (Err(Error::Exists(there.name.clone())), Err(Error::Missing(there.name.clone())));
        let other = Err(Error::other_table(&there.name));
        let table = [
            (PublishMode::Create, NameUse::Free, Ok(vec![CreateFromStaging])),
            (PublishMode::Create, NameUse::Dataset(&there), exists.clone()),
            (PublishMode::Create, NameUse::OtherTable, exists),
            (PublishMode::Replace, NameUse::Free, Ok(vec![CreateFromStaging])),
            (PublishMode::Replace, NameUse::Dataset(&there), Ok(vec![RetireExisting, CreateFromStaging])),
            (PublishMode::Replace, NameUse::OtherTable, other.clone()),
            (PublishMode::Append, NameUse::Free, missing),
            (PublishMode::Append, NameUse::Dataset(&there), Ok(vec![AppendStaging { after: 7 }])),
            (PublishMode::Append, NameUse::OtherTable, other),
        ];
        for (mode, existing, expected) in table {
            let steps = plan(mode, &["a", "b"]).publish_steps(existing, MAX_COLUMNS);
            assert_eq!(steps, expected, "{mode:?} {existing:?}");
        }
    }

    #[test]
    fn append_needs_the_same_columns_in_the_same_order() {
        let there = dataset(&["a", "b"]);
        for columns in [&["a"][..], &["b", "a"], &["a", "b", "c"], &["a", "B"]] {
            let refused = plan(PublishMode::Append, columns).publish_steps(NameUse::Dataset(&there), MAX_COLUMNS);
            let Err(Error::Columns { expected, found, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!(
                (expected, found),
                (vec!["a".to_owned(), "b".to_owned()], columns.iter().map(|c| (*c).to_owned()).collect())
            );
            let replaced = plan(PublishMode::Replace, columns).publish_steps(NameUse::Dataset(&there), MAX_COLUMNS);
            assert!(replaced.is_ok());
        }
        let mut typed = plan(PublishMode::Append, &["a", "b"]);
        typed.columns[1].kind = ColumnType::Integer;
        let refused = typed.publish_steps(NameUse::Dataset(&there), MAX_COLUMNS);
        let Err(Error::Columns { expected, found, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(
            (expected[1].as_str(), found[1].as_str()),
            ("b TEXT", "b INTEGER"),
            "types are named if only they differ"
        );
    }

    #[test]
    fn the_number_of_columns_has_bounds() {
        for mode in [PublishMode::Create, PublishMode::Replace] {
            let none = plan(mode, &[]).publish_steps(NameUse::Free, MAX_COLUMNS);
            assert!(matches!(none, Err(Error::Failed(_))), "{none:?}");
            let four = plan(mode, &["a", "b", "c", "d"]).publish_steps(NameUse::Free, MAX_COLUMNS);
            assert_eq!(four, Err(Error::TooManyColumns { found: 4, limit: MAX_COLUMNS }));
        }
    }

    #[test]
    fn data_is_set_aside_while_it_is_read_or_slow_to_drop() {
        assert_eq!(Retirement::of(false, false), Retirement::DropNow);
        for (pinned, slow) in [(true, false), (false, true), (true, true)] {
            assert_eq!(Retirement::of(pinned, slow), Retirement::SetAside);
        }
    }
}
