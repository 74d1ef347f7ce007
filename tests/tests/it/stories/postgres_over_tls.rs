//! PostgreSQL on another machine: what `sslmode` in the address asks for is done.

use ampout::store::{DatabaseUrl, Store, StoreOptions};
use ampout::wake::Wakeups;
use ampout_tests::postgres::Cluster;
use ampout_tests::{CertificateAuthority, Installation, ServerCertificate, eventually};
use anyhow::ensure;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_encrypted_and_knows_whom_it_speaks_to() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let authority = CertificateAuthority::create()?;
    speak_tls(&cluster, &authority.issue()?).await?;
    let plain = cluster.first_database();
    let checked = format!("{plain}?sslmode=verify-full&sslrootcert={}", authority.pem_file().display());

    let store = Store::open(&DatabaseUrl::parse(&checked)?, &StoreOptions::default(), Wakeups::default()).await?;
    let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    let encrypted: i64 = sqlx::query_scalar(sql).fetch_one(&mut *store.read().await?).await?;
    assert_eq!(encrypted, 1);
    store.close().await;

    // The listener's connection is one of them, too.
    let installation = Installation::at(&checked, &[])?;
    let mut serving = installation.serve().await?;
    ensure!(!serving.log().contains("can't be heard"), "{}", serving.log());
    let status = serving.end_by("TERM").await?;
    ensure!(status.success(), "{status}: {}", serving.log());

    let stranger = CertificateAuthority::create()?;
    let refused = format!("{plain}?sslmode=verify-ca&sslrootcert={}", stranger.pem_file().display());
    let output = Installation::at(&refused, &[])?.run(&["migrate"]).await?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && told.contains("certificate"), "{}: {told}", output.status);
    Ok(())
}

/// The files are written by the server itself, which takes no key that others may read.
async fn speak_tls(cluster: &Cluster, certificate: &ServerCertificate) -> anyhow::Result<()> {
    let url = cluster.first_database();
    let mut admin = PgConnection::connect(&url).await?;
    for (file, pem) in [("server.crt", &certificate.certificate_pem), ("server.key", &certificate.key_pem)] {
        let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", pem.replace('\r', "").trim());
        let copy = format!("COPY ({lines}) TO PROGRAM 'umask 077 && cat > {file}'");
        sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut admin).await?;
    }
    sqlx::raw_sql("ALTER SYSTEM SET ssl = on").execute(&mut admin).await?;
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut admin).await?;
    admin.close().await?;
    let encrypted = format!("{url}?sslmode=require");
    eventually("PostgreSQL to speak TLS", async || match PgConnection::connect(&encrypted).await {
        Ok(conn) => conn.close().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    })
    .await
}
