//! Steps 2 and 3 follow in the same thread from the same credential, and not at all where the first step was answered,
//! bounced, or unsubscribed from.

use std::time::Duration;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{ReceiverTls, Reply, SmtpReceiver, by_local_part};
use ampout_tests::{
    CampaignPlan, CertificateAuthority, Database, Dovecot, Engine, Letter, PASSWORD, credential, eventually, letters,
    provider, with_mailbox,
};
use anyhow::{Context, ensure};

super::on_both_databases!(who_says_nothing_is_written_to_again_and_nobody_else);

const ADA: &str = "ada@lovelace.test";
const GRACE: &str = "grace@hopper.test";
const SILENT: [&str; 2] = ["bo@there.test", "cy@there.test"];

async fn who_says_nothing_is_written_to_again_and_nobody_else(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let grace = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    for (receiver, address) in [(&ada, ADA), (&grace, GRACE)] {
        dovecot.add_user(address, PASSWORD)?;
        let gone = Reply::refuse(550, "5.1.1", "no such user");
        receiver.set_rule(by_local_part(vec![("gone".to_owned(), gone)]));
    }
    let engine = Engine::on(database).trust(certificates.ca_pem()).trust(authority.pem()).start().await?;
    let mailbox = |from, receiver| with_mailbox(credential(from, receiver, "implicit"), dovecot.imaps_port, "implicit");
    let plan = CampaignPlan::new("Three steps")
        .credential(mailbox(ADA, &ada))
        .credential(mailbox(GRACE, &grace))
        .step(0, "A question", "<p>One</p>")
        .step(60, "Re: A question", "<p>Two</p>")
        .step(120, "Re: A question", "<p>Three</p>");
    let campaign = plan.make(&engine.api).await?;
    campaign.send_to(&[SILENT[0], SILENT[1], "answers@there.test", "leaves@there.test", "gone@there.test"]).await?;
    campaign.becomes("gone@there.test", "bounced").await?;
    for recipient in [SILENT[0], SILENT[1], "answers@there.test", "leaves@there.test"] {
        campaign.becomes(recipient, "sent").await?;
    }
    assert_eq!(ada.accepted() + grace.accepted(), 4);

    let (sender, letter) = letter_to("answers@there.test", &[(ADA, &ada), (GRACE, &grace)])?;
    dovecot.deliver_from(&letter.to, sender, letter.answer("Yes, let us talk.")).await?;
    campaign.becomes("answers@there.test", "replied").await?;
    let (_, letter) = letter_to("leaves@there.test", &[(ADA, &ada), (GRACE, &grace)])?;
    let one_click = "List-Unsubscribe=One-Click";
    let form = "application/x-www-form-urlencoded";
    let status = engine.api.post_publicly(letter.unsubscribe_link(), form, one_click).await?;
    assert_eq!(status, 200);

    for (step, delay) in [(2, 60), (3, 120)] {
        // A minute too early nothing is due; the clock stands still, but for the moments that this takes.
        engine.clock.advance(Duration::from_secs((delay - 1) * 60));
        assert_eq!(campaign.explain().await?["state"], "waiting", "step {step}");
        engine.clock.advance(Duration::from_secs(2 * 60));
        for recipient in SILENT {
            eventually(&format!("step {step} to {recipient}"), async || {
                match campaign.transactions_of(recipient).await {
                    Ok(transactions) if transactions.len() == step => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
        }
    }
    eventually("the campaign to be finished", async || {
        let shown = campaign.show().await.map_err(|error| error.to_string())?;
        if shown["status"] == "finished" { Ok(()) } else { Err(shown.to_string()) }
    })
    .await?;
    assert_eq!(ada.accepted() + grace.accepted(), 4 + 2 * 2, "two steps more for each who said nothing");
    for recipient in SILENT {
        let (_, first) = letter_to(recipient, &[(ADA, &ada), (GRACE, &grace)])?;
        let thread = thread_of(recipient, &ada).await?.or(thread_of(recipient, &grace).await?);
        let thread = thread.with_context(|| format!("{recipient} has not all three from one credential"))?;
        let opener = format!("<{}>", first.message_id);
        for (letter, words) in thread.iter().zip(["One", "Two", "Three"]) {
            ensure!(letter.html().contains(words), "{}", letter.html());
            let expected = if words == "One" { "" } else { opener.as_str() };
            assert_eq!((letter.header("In-Reply-To"), letter.header("References")), (expected, expected));
        }
        ensure!(thread[1].message_id != thread[2].message_id, "each message has an id of its own");
        let times = campaign.transactions_of(recipient).await?;
        let at = |n: usize| -> anyhow::Result<ampout::domain::Timestamp> {
            Ok(times[n]["at"].as_str().context("at")?.parse()?)
        };
        ensure!(at(0)?.until(at(1)?) >= Duration::from_secs(3600), "{times:?}");
        ensure!(at(1)?.until(at(2)?) >= Duration::from_secs(7200), "{times:?}");
        let timeline = campaign.timeline_of(recipient).await?;
        let steps = timeline.iter().filter_map(|fact| fact["kind"].as_str());
        let steps: Vec<_> = steps.filter(|kind| ["queued", "transaction"].contains(kind)).collect();
        assert_eq!(
            steps,
            ["queued", "transaction"].repeat(3),
            "{recipient}: a step is queued when the one before has left"
        );
    }
    for (recipient, reason) in [("answers", "replied"), ("leaves", "unsubscribed"), ("gone", "bounced")] {
        assert_eq!(campaign.enrollment_of(&format!("{recipient}@there.test")).await?["stop_reason"], reason);
    }
    engine.stop().await;
    Ok(())
}

/// The first message to `recipient`, and who sent it.
fn letter_to<'a>(recipient: &str, senders: &[(&'a str, &SmtpReceiver)]) -> anyhow::Result<(&'a str, Letter)> {
    for (sender, receiver) in senders {
        if let Some(found) = receiver.messages().iter().find(|message| message.to == [recipient]) {
            return Ok((*sender, Letter::of(found)?));
        }
    }
    anyhow::bail!("{recipient} was not written to")
}

/// All three steps to `recipient` by one credential, if it sent all three.
async fn thread_of(recipient: &str, receiver: &SmtpReceiver) -> anyhow::Result<Option<Vec<Letter>>> {
    let mut all = letters(receiver, receiver.messages().len()).await?;
    all.retain(|letter| letter.to == recipient);
    Ok(Some(all).filter(|thread| thread.len() == 3))
}
