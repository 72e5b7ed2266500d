//! What every database of datasets must do, told once and run on each.

mod contents;
pub mod database;
mod life;
mod only_postgres;
mod only_sqlite;
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
    life::rows_are_seen_once_they_are_published,
    life::publishing_twice_changes_nothing,
    life::append_goes_on_counting_and_replace_starts_anew,
    life::what_publish_would_refuse_is_refused_at_once,
    life::a_name_taken_meanwhile_is_refused_at_publish,
    life::an_older_epoch_cannot_do_anything,
    life::a_run_that_vanished_is_taken_up_at_its_cursor,
    life::discard_leaves_nothing,
    life::imports_side_by_side_do_not_mix,
    contents::odd_cells_come_back_as_they_were,
    contents::odd_columns_keep_their_names,
    contents::fifteen_hundred_columns,
    contents::too_many_columns,
    contents::a_batch_of_another_width_is_refused,
    contents::datasets_are_listed_by_name,
    snapshots::a_pin_outlives_append_replace_and_drop,
    snapshots::pages_lie_across_imports,
    snapshots::a_page_ends_where_its_bytes_do,
    snapshots::a_stream_holds_its_snapshot_until_it_is_let_go_or_its_process_ends,
    snapshots::a_page_is_found_by_its_key_alone,
    snapshots::typed_columns_are_chosen_by_value_and_written_alike,
}
