//! What a user of the engine notices, one file for each thing, each told on both databases.

mod campaign_is_made;

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
