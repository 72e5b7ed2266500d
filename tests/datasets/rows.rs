//! Pages of filtered and ordered rows, compared with a model in memory.

use std::cmp::Ordering;

use jiff::Timestamp;
use pausa::datasets::{
    Batch, Column, ColumnFilter, ColumnOrder, ColumnType, DatasetName, Error, ImportPlan, PublishMode, RowPage,
    RowRequest,
};

use crate::chaos::random::Random;
use crate::datasets::database::{TestDatabase, batch};
use crate::harness::caller;

/// Rows of each import.
const ROWS: usize = 30;

/// Requests that are compared.
const REQUESTS: usize = 60;

/// The values of each column, in canonical form and in order. Null is added.
const VALUES: [(&str, ColumnType, &[&str]); 6] = [
    ("t", ColumnType::Text, &["", "A", "Ab", "a", "é", "é2"]),
    ("i", ColumnType::Integer, &["-9223372036854775808", "-1", "9", "10", "9223372036854775807"]),
    ("r", ColumnType::Real, &["-1e300", "-0.5", "0", "0.1", "9", "10"]),
    ("b", ColumnType::Boolean, &["false", "true"]),
    ("d", ColumnType::Date, &["0001-01-01", "1999-12-31", "2000-01-01"]),
    ("at", ColumnType::Timestamp, &["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.45Z", "2024-01-01T00:00:00.5Z"]),
];

/// A row: for each column the place of its value in [`VALUES`], which is greater for null.
type Row = [usize; VALUES.len()];

fn below(random: &mut Random, limit: usize) -> usize {
    usize::try_from(random.between(0, limit as u64 - 1)).unwrap()
}

fn random_row(random: &mut Random) -> Row {
    std::array::from_fn(|column| below(random, VALUES[column].2.len() + 1))
}

fn text(column: usize, place: usize) -> Option<&'static str> {
    VALUES[column].2.get(place).copied()
}

fn random_filter(random: &mut Random) -> (ColumnFilter, impl Fn(&Row) -> bool + use<>) {
    let column = below(random, VALUES.len());
    let (name, kind, values) = VALUES[column];
    let (one, other) = (below(random, values.len()), below(random, values.len()));
    let (low, high) = (one.min(other), one.max(other));
    let given = |place: usize| Some(values[place].to_owned());
    let mut filter = ColumnFilter { column: name.to_owned(), ..ColumnFilter::default() };
    let kinds = if kind == ColumnType::Text { 6 } else { 5 };
    let test = below(random, kinds);
    match test {
        0 => filter.equals = given(one),
        1 => filter.from = given(one),
        2 if low < high => (filter.from, filter.to) = (given(low), given(high)),
        2 => filter.to = given(one),
        3 => filter.any_of = Some(vec![values[one].to_owned(), values[other].to_owned()]),
        4 => filter.is_null = Some(one > 0),
        _ => filter.contains = given(one),
    }
    filter.not = below(random, 3) == 0;
    let not = filter.not;
    let matches = move |row: &Row| {
        let value = row[column];
        if test == 4 {
            return ((value == values.len()) == (one > 0)) != not;
        }
        let matches = match test {
            0 => value == one,
            1 => value >= one,
            2 if low < high => (low..high).contains(&value),
            2 => value < one,
            3 => value == one || value == other,
            _ => text(column, value).is_some_and(|text| text.contains(values[one])),
        };
        value < values.len() && matches != not
    };
    (filter, matches)
}

/// Returns an order by up to three columns, as pairs of a column and true if it is descending.
fn random_order(random: &mut Random) -> Vec<(usize, bool)> {
    let mut order = Vec::new();
    for _ in 0..below(random, 4) {
        let column = below(random, VALUES.len());
        if order.iter().all(|(other, _)| *other != column) {
            order.push((column, below(random, 2) == 0));
        }
    }
    order
}

fn compare((one, other): (&Row, &Row), order: &[(usize, bool)]) -> Ordering {
    let keys = order.iter().map(|(column, descending)| {
        let order = one[*column].cmp(&other[*column]);
        if *descending { order.reverse() } else { order }
    });
    keys.fold(Ordering::Equal, Ordering::then)
}

async fn import(database: &TestDatabase, mode: PublishMode, rows: &[Row]) {
    let columns = VALUES.map(|(name, kind, _)| Column { name: name.to_owned(), kind });
    let plan = ImportPlan { dataset: "rows".parse().unwrap(), mode, columns: columns.to_vec() };
    let (task, mut batch) = (crate::harness::task_id(), Batch::new(VALUES.len()));
    for row in rows {
        batch.push_row(row.iter().enumerate().map(|(column, place)| text(column, *place))).unwrap();
    }
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(batch, "end".into()).await.unwrap();
    staging.close().await.unwrap();
    database.datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap();
}

/// Reads all pages of the request, from the first to the last or the other way round. Returns the numbers in order.
async fn read_all(database: &TestDatabase, request: &RowRequest, rows: &[Row]) -> Vec<u64> {
    let (mut request, mut numbers) = (request.clone(), Vec::new());
    loop {
        let RowPage { batch, numbers: page, more } = database
            .datasets
            .rows(caller(), &name(), &request)
            .await
            .unwrap_or_else(|error| panic!("{request:?}: {error}"));
        for (cells, number) in batch.rows().zip(&page) {
            let row = rows[*number as usize - 1];
            let expected = row.iter().enumerate().map(|(column, place)| text(column, *place));
            assert!(cells.eq(expected), "row {number} of {request:?}");
        }
        assert!(batch.len() == page.len() && page.len() <= request.limit as usize && (!more || !page.is_empty()));
        if request.from_end {
            request.before = page.first().copied();
            numbers.splice(0..0, page);
        } else {
            request.after = page.last().copied();
            numbers.extend(page);
        }
        if !more {
            return numbers;
        }
    }
}

fn name() -> DatasetName {
    "rows".parse().unwrap()
}

pub async fn filtered_and_ordered_pages_are_those_of_a_model(database: &TestDatabase) {
    let mut random = Random::new();
    let mut rows: Vec<Row> = Vec::new();
    for mode in [PublishMode::Create, PublishMode::Append, PublishMode::Append] {
        let imported: Vec<_> = (0..ROWS).map(|_| random_row(&mut random)).collect();
        import(database, mode, &imported).await;
        rows.extend(imported);
    }
    for _ in 0..REQUESTS {
        let filters = below(&mut random, 3);
        let filters: Vec<_> = (0..filters).map(|_| random_filter(&mut random)).collect();
        let order = random_order(&mut random);
        let mut expected: Vec<_> = (1..=rows.len() as u64).collect();
        let row = |number: u64| &rows[number as usize - 1];
        expected.retain(|number| filters.iter().all(|(_, matches)| matches(row(*number))));
        expected.sort_by(|one, other| compare((row(*one), row(*other)), &order));
        let columns = order
            .iter()
            .map(|(column, descending)| ColumnOrder { column: VALUES[*column].0.to_owned(), descending: *descending });
        let request = RowRequest {
            filters: filters.iter().map(|(filter, _)| filter.clone()).collect(),
            order: columns.collect(),
            limit: 1 + below(&mut random, 40) as u32,
            ..RowRequest::default()
        };
        assert_eq!(read_all(database, &request, &rows).await, expected, "{request:?}");
        let backward = RowRequest { from_end: true, ..request.clone() };
        assert_eq!(read_all(database, &backward, &rows).await, expected, "{backward:?}");
        let count = database.datasets.count_rows(caller(), &name(), &request.filters).await.unwrap();
        assert_eq!(count, expected.len() as u64, "{request:?}");
        if let [first, .., last] = expected[..] {
            let between = RowRequest { after: Some(first), before: Some(last), limit: 500, ..request };
            let page = database.datasets.rows(caller(), &name(), &between).await.unwrap();
            assert_eq!(page.numbers, expected[1..expected.len() - 1], "{between:?}");
        }
    }
}

pub async fn a_page_of_large_ordered_rows_ends_at_its_limit_of_bytes(database: &TestDatabase) {
    let cells: Vec<_> = (0..20).map(|n| format!("{}{}", (b'a' + n) as char, "x".repeat(1 << 20))).collect();
    let rows: Vec<_> = cells.iter().map(std::slice::from_ref).collect();
    for (mode, rows) in [(PublishMode::Create, &rows[..10]), (PublishMode::Append, &rows[10..])] {
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<_> = rows.iter().map(Vec::as_slice).collect();
        database.fill("rows", mode, batch(&rows)).await;
    }
    let order = vec![ColumnOrder { column: "c1".to_owned(), descending: true }];
    let forward = RowRequest { order, limit: 500, ..RowRequest::default() };
    let page = database.datasets.rows(caller(), &name(), &forward).await.unwrap();
    assert_eq!((page.numbers, page.more), (vec![20, 19, 18], true));
    let after = RowRequest { after: Some(18), ..forward.clone() };
    let page = database.datasets.rows(caller(), &name(), &after).await.unwrap();
    assert_eq!((page.numbers, page.more), (vec![17, 16, 15], true));
    let backward = RowRequest { from_end: true, ..forward };
    let page = database.datasets.rows(caller(), &name(), &backward).await.unwrap();
    assert_eq!((page.numbers, page.more), (vec![3, 2, 1], true));
}

pub async fn requests_that_do_not_fit_the_dataset_are_refused(database: &TestDatabase) {
    database.import("rows", PublishMode::Create, &[&["a", "b"]]).await;
    let by = |column: &str| vec![ColumnOrder { column: column.to_owned(), descending: false }];
    let filter = ColumnFilter { column: "c3".to_owned(), equals: Some("x".to_owned()), ..ColumnFilter::default() };
    let table = [
        ("orderBy", RowRequest { order: by("c3"), ..RowRequest::default() }),
        ("where", RowRequest { filters: vec![filter], ..RowRequest::default() }),
        ("after", RowRequest { order: by("c1"), after: Some(2), ..RowRequest::default() }),
        ("before", RowRequest { order: by("c1"), before: Some(0), ..RowRequest::default() }),
    ];
    for (field, request) in table {
        let refused = database.datasets.rows(caller(), &name(), &request).await;
        assert!(matches!(&refused, Err(Error::Invalid(invalid)) if invalid.field == field), "{request:?}: {refused:?}");
    }
    let beyond = RowRequest { after: Some(7), before: Some(9), limit: 5, ..RowRequest::default() };
    assert!(database.datasets.rows(caller(), &name(), &beyond).await.unwrap().numbers.is_empty());
}
