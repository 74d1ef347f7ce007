//! Hundreds of answers that came while nobody looked: people who write twice, absences, bounces, a stranger. The engine is
//! killed in the midst of them; each is applied all the same, and none twice.

use std::collections::BTreeMap;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::ReceiverTls;
use ampout_tests::{
    Api, CampaignPlan, CertificateAuthority, Database, Dovecot, Installation, Letter, PASSWORD, credential, eventually,
    letters, provider, text, with_mailbox,
};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

super::on_both_databases!(a_backlog_is_applied_once_whatever_ends_the_engine);

const ADA: &str = "ada@lovelace.test";
const RECIPIENTS: usize = 300;
const PAGE: usize = 200;

async fn a_backlog_is_applied_once_whatever_ends_the_engine(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, PASSWORD)?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let trusted = NamedTempFile::new()?;
    std::fs::write(trusted.path(), [certificates.ca_pem(), authority.pem()].join("\n"))?;
    let installation = installation(database, &trusted).await?;
    let key = key_of(&installation).await?;
    let mut serving = installation.serve().await?;
    let api = Api::new(&serving.base(), &key)?;
    let mailbox = with_mailbox(credential(ADA, &ada, "implicit"), dovecot.imap_port, "starttls");
    let campaign = CampaignPlan::new("Backlog").set("bounce_rate_threshold", 25).credential(mailbox).make(&api).await?;
    let recipients: Vec<String> = (0..RECIPIENTS).map(|n| format!("bo{n}@there.test")).collect();
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let sent = letters(&ada, RECIPIENTS).await?;
    counted(&api, "enrollment.sent", RECIPIENTS).await?;
    ensure!(serving.end_by("TERM").await?.success(), "{}", serving.log());

    let mut expected = BTreeMap::new();
    for letter in &sent {
        let told = match number_of(letter)? % 6 {
            0 | 1 => {
                dovecot.deliver_from(&letter.to, ADA, letter.answer("That sounds useful.")).await?;
                let again = letter.answer("Can we talk on Thursday?").replace("<answer.", "<again.");
                dovecot.deliver_from(&letter.to, ADA, again).await?;
                "enrollment.replied"
            }
            2 => {
                dovecot.deliver(ADA, letter.undeliverable()).await?;
                "enrollment.bounced"
            }
            _ => {
                dovecot.deliver(ADA, letter.absence()).await?;
                "enrollment.auto_replied"
            }
        };
        expected.insert(letter.to.clone(), told);
    }
    let stranger = "From: <cy@elsewhere.test>\r\nTo: <ada@lovelace.test>\r\nSubject: Hello\r\nMessage-ID: <1@elsewhere.test>\r\n\r\nDo you sell pumps?\r\n";
    dovecot.deliver_from("cy@elsewhere.test", ADA, stranger).await?;

    let mut serving = installation.serve().await?;
    let api = Api::new(&serving.base(), &key)?;
    let begun = eventually("the first answers to be applied", async || {
        let shown = api.get(&campaign.path("")).await.map_err(|error| format!("{error:#}"))?;
        if shown["totals"]["replied"] == 0 { Err(shown["totals"].to_string()) } else { Ok(()) }
    });
    begun.await?;
    serving.end_by("KILL").await?;
    drop(serving);

    let serving = installation.serve().await?;
    let api = Api::new(&serving.base(), &key)?;
    counted(&api, "inbound.unmatched", 1).await?;
    for (told, count) in [("replied", 100), ("bounced", 50), ("auto_replied", 150)] {
        counted(&api, &format!("enrollment.{told}"), count).await?;
    }
    let events = events(&api).await?;
    for (recipient, told) in &expected {
        let of_recipient = events.iter().filter(|event| event["data"]["contact_email"] == **recipient);
        let types: Vec<_> = of_recipient.filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(types, ["enrollment.sent", told], "{recipient}");
    }
    let totals = api.get(&campaign.path("")).await?["totals"].clone();
    assert_eq!(totals, json!({ "pending": 0, "sent": 150, "opened": 0, "replied": 100, "bounced": 50 }));
    for message in dovecot.messages(ADA)? {
        assert_eq!(message.flags, [""; 0], "a message was marked");
    }
    Ok(())
}

async fn installation(database: Database, trusted: &NamedTempFile) -> anyhow::Result<Installation> {
    let url = match database {
        Database::Sqlite => String::new(),
        Database::Postgres => ampout_tests::postgres::fresh_database().await?,
    };
    Installation::new(&[
        ("AMPOUT_DATABASE_URL", url.as_str()),
        ("AMPOUT_EGRESS_ALLOW", "127.0.0.0/8"),
        ("AMPOUT_EXTRA_CA", trusted.path().to_str().context("a path in UTF-8")?),
        ("AMPOUT_RATE_LIMIT_PER_MINUTE", "1000000"),
        // A killed node's mailbox is free for the next one soon.
        ("AMPOUT_LEASE_SECONDS", "5"),
    ])
}

async fn key_of(installation: &Installation) -> anyhow::Result<String> {
    let made = installation.run(&["keys", "create", "--json"]).await?;
    let key: Value = serde_json::from_slice(&made.stdout)?;
    Ok(text(&key["plaintext"])?.to_owned())
}

/// Which recipient a letter went to.
fn number_of(letter: &Letter) -> anyhow::Result<usize> {
    let digits: String = letter.to.chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

/// Waits until so many events of a type were told.
async fn counted(api: &Api, event_type: &str, count: usize) -> anyhow::Result<()> {
    eventually(&format!("{count} of {event_type}"), async || {
        let events = events(api).await.map_err(|error| format!("{error:#}"))?;
        let seen = events.iter().filter(|event| event["type"] == event_type).count();
        if seen >= count { Ok(()) } else { Err(seen.to_string()) }
    })
    .await
}

/// All that was told so far, in order.
async fn events(api: &Api) -> anyhow::Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map(|event| format!("&after={}", event["id"].as_str().unwrap_or_default()));
        let page = api.get(&format!("/events?limit={PAGE}{}", after.unwrap_or_default())).await?;
        let page = page.as_array().context("events are a list")?.clone();
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}
