//! What a user of the engine notices, one file for each thing, each told on both databases.

mod a_backlog_comes;
mod a_call_is_made_again;
mod a_credential_goes_down;
mod a_doubt_is_settled;
mod a_months_plan;
mod a_node_stands_still;
mod a_person_answers;
mod accounts_share_a_node;
mod answers_instead_of_tickets;
mod bindings_reach_every_node;
mod bounces;
mod campaign_is_made;
mod contacts_come_and_go;
mod events_by_cursor;
mod extensions_are_swapped;
mod first_starts_together;
mod first_steps_leave;
mod follow_ups;
mod keys_and_counts;
mod kills_at_random_moments;
mod one_question_a_domain;
mod opens_and_opt_outs;
mod postgres_over_tls;
mod provider_is_heard_later;
mod refusals;
mod servers_take_less;
mod several_nodes;
mod slow_and_large;
mod stops_and_starts;
mod the_clock_is_set_back;
mod the_database_goes_away;
mod the_disk_is_full;
mod the_document_tells_the_truth;
mod the_mail_server_breaks_off;
mod webhooks_are_told;
mod writes_in_each_others_way;

/// Tells a story, `async fn(Database) -> anyhow::Result<()>`, on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($($story:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() -> anyhow::Result<()> {
                    super::$story(ampout_tests::Database::Sqlite).await
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() -> anyhow::Result<()> {
                    super::$story(ampout_tests::Database::Postgres).await
                }
            )+
        }
    };
}
pub(crate) use on_both_databases;
