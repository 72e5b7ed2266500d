//! The contract of every database of datasets, tested on SQLite and on PostgreSQL.

mod contents;
pub mod database;
mod life;
mod only_postgres;
mod only_sqlite;
mod rows;
mod snapshots;
mod write_slots;

/// Runs each story on SQLite and on PostgreSQL.
macro_rules! stories {
    ($($file:ident::$story:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                crate::datasets::$file::$story(&crate::datasets::database::TestDatabase::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                crate::datasets::$file::$story(&crate::datasets::database::TestDatabase::postgres().await).await;
            })*
        }
    };
}

stories! {
    life::rows_are_visible_when_they_are_published,
    life::publishing_twice_changes_nothing,
    life::append_continues_the_row_numbers_and_replace_restarts_them,
    life::a_dataset_names_its_imports_and_its_size,
    life::an_import_that_publish_would_refuse_is_refused_at_the_start,
    life::a_name_that_another_import_took_is_refused_at_publish,
    life::an_older_epoch_cannot_write,
    life::a_run_that_crashed_is_resumed_at_its_cursor,
    life::discard_leaves_nothing,
    life::concurrent_imports_do_not_mix,
    contents::odd_cells_are_preserved,
    contents::odd_columns_keep_their_names,
    contents::fifteen_hundred_columns,
    contents::too_many_columns,
    contents::a_batch_of_another_width_is_refused,
    contents::datasets_are_listed_by_name,
    snapshots::a_pinned_snapshot_survives_append_replace_and_drop,
    snapshots::pages_span_several_imports,
    snapshots::a_page_ends_at_its_limit_of_bytes,
    snapshots::a_stream_keeps_its_snapshot_until_it_is_released_or_its_process_ends,
    snapshots::a_page_is_found_by_its_key_alone,
    snapshots::typed_columns_are_filtered_by_value_and_written_in_one_notation,
    rows::filtered_and_ordered_pages_are_those_of_a_model,
    rows::a_page_of_large_ordered_rows_ends_at_its_limit_of_bytes,
    rows::requests_that_do_not_fit_the_dataset_are_refused,
}
