//! The contract of every task store, tested on SQLite and on PostgreSQL.

mod backlog;
mod change_notices;
mod checks;
mod claims;
mod columns;
mod durability;
mod lists;
mod moments;
mod nodes;
mod only_postgres;
mod only_sqlite;
mod plans;
mod priorities;
mod short;
mod starts;
mod tallies;
pub mod test_store;
mod texts;
mod updates;
mod uploads;
mod walk;

/// Runs each story on SQLite and on PostgreSQL.
macro_rules! stories {
    ($($file:ident::$story:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                crate::store::$file::$story(&crate::store::test_store::TestStore::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                crate::store::$file::$story(&crate::store::test_store::TestStore::postgres().await).await;
            })*
        }
    };
}

stories! {
    backlog::unfinished_tasks_are_counted_by_kind_and_state,
    backlog::the_age_of_a_queued_task_counts_from_its_last_entry_into_the_queue,
    short::short_tasks_are_claimed_shortly_before_they_are_due,
    short::a_claim_of_short_tasks_examines_a_bounded_number,
    short::a_short_task_claimed_early_and_paused_waits_for_its_due_time,
    short::a_death_and_a_failed_attempt_keep_the_order_of_due_times,
    short::many_short_tasks_end_at_once_each_with_its_own_outcome,
    short::changes_since_a_known_version_are_found,
    starts::a_task_is_read_as_it_was_written,
    starts::a_key_starts_one_task,
    starts::a_key_belongs_to_its_kind_and_input,
    starts::a_key_that_was_stored_without_its_input_belongs_to_its_kind,
    starts::twenty_starts_at_once_with_one_key_start_one_task,
    starts::a_unique_key_is_reserved_until_the_task_is_finished,
    starts::twenty_starts_at_once_with_one_unique_key_start_one_task,
    starts::a_failed_task_is_not_resumed_while_another_has_its_unique_key,
    starts::a_start_is_refused_when_too_many_tasks_wait,
    lists::each_condition_of_a_filter_narrows_the_list,
    lists::pages_contain_each_task_once_in_both_directions,
    lists::each_filter_finds_its_tasks_in_each_order,
    lists::a_search_finds_old_tasks_by_the_index_of_texts,
    tallies::matching_tasks_are_counted_by_kind_and_state,
    tallies::a_count_of_many_tasks_says_that_it_is_not_exact,
    plans::each_list_is_read_by_an_index,
    lists::the_history_records_who_changed_a_task_and_why,
    claims::the_oldest_tasks_are_claimed_first_up_to_the_limit,
    claims::two_nodes_never_claim_the_same_task,
    claims::a_run_with_an_old_epoch_writes_nothing,
    claims::progress_never_decreases,
    claims::progress_resets_the_count_of_failures,
    claims::progress_since_the_claim_counts_when_the_limit_of_attempts_is_reached,
    priorities::tasks_of_higher_priority_are_claimed_first_and_the_oldest_of_each,
    priorities::a_claim_reads_the_index_of_priorities_in_order,
    priorities::queue_positions_and_totals_read_a_bounded_number_of_tasks,
    priorities::the_index_of_tags_follows_every_change_of_a_task,
    nodes::the_tasks_of_a_silent_node_are_released,
    nodes::a_node_that_ends_before_its_runs_releases_their_tasks_and_counts_no_attempt,
    nodes::a_node_whose_lease_expired_is_notified_and_owns_nothing,
    nodes::a_task_fails_after_too_many_deaths,
    nodes::a_new_process_recovers_the_tasks_of_all_nodes,
    nodes::nodes_with_one_name_are_different_nodes,
    nodes::a_node_of_an_earlier_version_is_a_node,
    nodes::a_node_claims_only_kinds_that_it_knows,
    nodes::an_unregistered_node_claims_no_task,
    moments::a_start_in_the_future_waits_for_its_time,
    moments::a_failed_attempt_waits_for_its_retry,
    moments::a_pause_expires_as_requested,
    moments::a_failed_end_is_not_retried_before_it_is_due,
    change_notices::each_change_is_delivered_once,
    change_notices::a_call_without_effect_delivers_no_change,
    change_notices::pause_running_notifies_the_run_and_leaves_waiting_tasks_unchanged,
    change_notices::a_change_is_delivered_even_if_its_caller_disconnects,
    checks::the_database_rejects_invalid_task_rows,
    columns::the_tables_have_the_columns_that_the_program_defines,
    columns::a_unit_defined_by_the_embedding_program_is_preserved,
    columns::a_task_with_every_value_is_read_as_it_was_written,
    checks::the_database_itself_enforces_unique_keys,
    durability::a_task_is_deleted_only_if_it_is_unchanged_since_it_was_read,
    durability::one_node_at_a_time_purges_a_deleted_task_until_it_succeeds,
    durability::all_data_is_present_after_the_store_is_reopened,
    durability::many_concurrent_starts_are_present_after_the_store_is_reopened,
    texts::texts_of_a_run_are_made_storable,
    texts::a_spec_stores_any_text_as_json,
    updates::changes_of_state_since_a_moment_are_found_in_their_order,
    updates::more_changes_than_one_page_are_found_once,
    uploads::an_upload_unused_for_long_is_deleted_once,
    uploads::an_upload_is_kept_while_any_of_two_tasks_uses_it,
    uploads::a_start_and_the_deletion_of_its_upload_never_both_succeed,
    uploads::only_a_complete_upload_can_be_imported,
    walk::every_transition_of_the_table,
}
