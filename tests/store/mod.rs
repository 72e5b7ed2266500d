//! What every task store must do, told once and run on SQLite and on PostgreSQL.

mod backlog;
mod checks;
mod claims;
mod columns;
mod hearing;
mod keeping;
mod lists;
mod moments;
mod nodes;
mod only_postgres;
mod only_sqlite;
pub mod place;
mod short;
mod starts;
mod texts;
mod uploads;
mod walk;

/// Runs each story on SQLite and on PostgreSQL.
macro_rules! stories {
    ($($file:ident::$story:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                crate::store::$file::$story(&crate::store::place::Place::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                crate::store::$file::$story(&crate::store::place::Place::postgres().await).await;
            })*
        }
    };
}

stories! {
    backlog::unfinished_tasks_are_counted_by_kind_and_state,
    backlog::the_age_of_the_queue_is_that_of_the_last_time_in_it,
    short::they_are_taken_a_moment_before_their_time,
    short::what_is_looked_at_has_bounds,
    short::one_that_was_taken_early_and_paused_waits_again,
    short::a_death_and_a_failed_try_leave_them_in_their_order,
    short::many_end_at_once_and_each_as_it_must,
    short::what_changed_meanwhile_is_found,
    starts::a_task_is_found_as_it_was_written,
    starts::a_key_starts_one_task,
    starts::a_key_belongs_to_its_kind_and_input,
    starts::a_key_that_was_stored_without_its_input_belongs_to_its_kind,
    starts::twenty_starts_at_once_with_one_key_start_one_task,
    starts::what_is_exclusive_is_held_until_the_task_is_over,
    starts::twenty_starts_at_once_for_one_thing_start_one_task,
    starts::a_failed_task_is_not_resumed_while_another_holds_its_place,
    starts::too_many_waiting_tasks_refuse_one_more,
    lists::each_part_of_a_filter_narrows,
    lists::pages_give_each_task_once_in_both_directions,
    lists::the_history_says_who_and_why,
    claims::the_oldest_are_taken_first_and_no_more_than_asked_for,
    claims::two_nodes_never_get_the_same_task,
    claims::an_old_epoch_writes_nothing,
    claims::progress_never_goes_back,
    claims::progress_forgives_earlier_failures,
    claims::progress_since_the_claim_counts_when_the_limit_of_attempts_is_reached,
    nodes::what_a_silent_node_held_is_given_free,
    nodes::a_node_that_was_taken_for_dead_hears_it_and_holds_nothing,
    nodes::one_death_too_many_fails_the_task,
    nodes::a_process_takes_back_what_its_own_name_held,
    nodes::a_node_that_is_not_listed_is_given_no_task,
    moments::a_start_in_the_future_waits_for_its_moment,
    moments::a_failed_try_waits_for_the_next,
    moments::a_pause_ends_as_it_was_asked_to,
    moments::an_end_that_failed_is_not_tried_before_its_moment,
    hearing::each_change_is_heard_once,
    hearing::what_did_not_change_is_not_heard,
    hearing::a_run_hears_of_its_pause_first_and_what_waits_is_left_to_the_verb,
    hearing::a_caller_that_goes_away_takes_no_word_with_it,
    checks::rows_that_no_task_can_be_are_refused,
    columns::the_tables_have_the_columns_that_the_program_knows,
    columns::a_unit_of_the_embedding_program_is_kept,
    columns::a_task_with_every_value_is_read_as_it_was_written,
    checks::the_database_itself_keeps_keys_and_places_apart,
    keeping::a_task_is_deleted_only_as_it_was_read,
    keeping::what_a_deleted_task_left_is_taken_by_one_node_at_a_time_until_it_is_removed,
    keeping::everything_is_there_after_opening_it_again,
    keeping::many_starts_at_once_are_all_there_after_opening_it_again,
    texts::what_a_run_says_is_made_storable,
    texts::a_spec_holds_any_text_as_json,
    uploads::one_that_nobody_used_for_long_is_forgotten_once,
    uploads::a_task_keeps_it_and_two_share_it,
    uploads::a_start_and_the_end_of_an_upload_never_both_win,
    uploads::only_a_whole_one_is_read,
    walk::every_arrow_of_the_table,
}
