//! A server's refusal, a message given back into the mailbox and a provider's webhook each turn an enrollment to bounced,
//! with its reason. The bounce is charged to the credential that sent, once, whoever tells of it and how often.

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{ReceiverTls, Reply, by_local_part};
use ampout_tests::{
    CampaignPlan, CertificateAuthority, Database, Dovecot, Engine, Letter, PASSWORD, WebhookReceiver, credential,
    eventually, letters, provider, text, with_mailbox,
};
use anyhow::{Context, ensure};
use serde_json::{Value, json};

super::on_both_databases!(three_kinds_of_bounces_are_charged_once);

const ADA: &str = "ada@lovelace.test";
const GRACE: &str = "grace@hopper.test";
const REFUSED: &str = "gone@there.test";
const RETURNED: &str = "returned@there.test";
const FORM: &str = "form@there.test";
const JSON: &str = "json@there.test";
/// Presented as the password of Basic.
const SECRET: &str = "only-the-provider-knows-it";
const REACHED: [&str; 2] = ["bo@there.test", "cy@there.test"];

async fn three_kinds_of_bounces_are_charged_once(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let grace = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    let app = WebhookReceiver::start().await?;
    for (receiver, address) in [(&ada, ADA), (&grace, GRACE)] {
        dovecot.add_user(address, PASSWORD)?;
        let gone = Reply::refuse(550, "5.1.1", "no such user here");
        receiver.set_rule(by_local_part(vec![("gone".to_owned(), gone)]));
    }
    let engine = Engine::on(database).trust(certificates.ca_pem()).trust(authority.pem()).start().await?;
    engine.api.post("/webhooks", json!({ "webhook": { "url": app.url() } })).await?;
    let endpoint = json!({ "inbound_endpoint": { "provider": "smtp2go", "signing_secret": SECRET } });
    let endpoint = engine.api.post("/inbound_endpoints", endpoint).await?;
    let inbound = text(&endpoint["url"])?;
    let mailbox = |from, receiver| with_mailbox(credential(from, receiver, "implicit"), dovecot.imaps_port, "implicit");
    let plan = CampaignPlan::new("Bounces").credential(mailbox(ADA, &ada)).credential(mailbox(GRACE, &grace));
    let campaign = plan.make(&engine.api).await?;
    campaign.send_to(&[REFUSED, RETURNED, FORM, JSON, REACHED[0], REACHED[1]]).await?;
    for recipient in [RETURNED, FORM, JSON, REACHED[0], REACHED[1]] {
        campaign.becomes(recipient, "sent").await?;
    }
    let mut sent: Vec<(&str, Letter)> = Vec::new();
    for (from, receiver) in [(ADA, &ada), (GRACE, &grace)] {
        let all = letters(receiver, receiver.messages().len()).await?;
        sent.extend(all.into_iter().map(|letter| (from, letter)));
    }
    let sent_to = |to: &str| sent.iter().find(|(_, letter)| letter.to == to).context("not written to");

    let refused = campaign.becomes(REFUSED, "bounced").await?;
    ensure!(text(&refused["bounce_reason"])?.contains("no such user here"), "{refused}");
    let (from, letter) = sent_to(RETURNED)?;
    dovecot.deliver(from, letter.undeliverable()).await?;
    let returned = campaign.becomes(RETURNED, "bounced").await?;
    ensure!(text(&returned["bounce_reason"])?.contains("550 5.1.1 no such mailbox"), "{returned}");

    let (_, letter) = sent_to(FORM)?;
    let id = letter.header("X-Ampout-Send-Id");
    let form =
        format!("event=bounce&bounce=hard&rcpt=form%40there.test&message=550+5.1.1+unknown+form&X-Ampout-Send-Id={id}");
    let unsigned = engine.api.post_publicly(inbound, "application/x-www-form-urlencoded", &form).await?;
    assert_eq!(unsigned, 401, "without the secret");
    assert_eq!(campaign.enrollment_of(FORM).await?["status"], "sent");
    let (head, tail) = inbound.split_once("://").context("no URL")?;
    let inbound = format!("{head}://hook:{SECRET}@{tail}");
    let form_status = engine.api.post_publicly(&inbound, "application/x-www-form-urlencoded", &form).await?;
    let (_, letter) = sent_to(JSON)?;
    let event = |letter: &Letter, message: &str| {
        json!({ "event": "bounce", "bounce": "hard", "id": message, "rcpt": letter.to, "message": message,
                "X-Ampout-Send-Id": letter.header("X-Ampout-Send-Id") })
        .to_string()
    };
    let json_status =
        engine.api.post_publicly(&inbound, "application/json", &event(letter, "550 5.1.1 unknown json")).await?;
    assert_eq!((form_status.as_u16(), json_status.as_u16()), (200, 200));
    for (recipient, reason) in [(FORM, "550 5.1.1 unknown form"), (JSON, "550 5.1.1 unknown json")] {
        let bounced = campaign.becomes(recipient, "bounced").await?;
        ensure!(text(&bounced["bounce_reason"])?.contains(reason), "{bounced}");
    }

    // Told again: the same event, another event of the same message, and the mailbox's bounce by the provider as well.
    let (_, returned) = sent_to(RETURNED)?;
    for (letter, message) in
        [(letter, "550 5.1.1 unknown json"), (letter, "550 5.1.1 still unknown"), (returned, "550 5.1.1 also here")]
    {
        let status = engine.api.post_publicly(&inbound, "application/json", &event(letter, message)).await?;
        assert_eq!(status, 200);
    }
    let (_, reached) = sent_to(REACHED[0])?;
    for (from, receiver) in [(ADA, &ada), (GRACE, &grace)] {
        let bounced = [RETURNED, FORM, JSON];
        let told = sent.iter().filter(|(sender, letter)| *sender == from && bounced.contains(&letter.to.as_str()));
        let refused = receiver.transactions() - receiver.accepted();
        let figures = campaign.figures_of(from).await?;
        assert_eq!(figures["transactions"].as_u64(), Some(receiver.transactions()), "{figures}");
        assert_eq!(figures["bounces"].as_u64(), Some(u64::try_from(told.count())? + refused), "{figures}");
    }
    ensure!(reached.to == REACHED[0] && campaign.enrollment_of(REACHED[0]).await?["status"] == "sent", "nobody else");
    assert_eq!(campaign.show().await?["recent_bounces"].as_array().map(Vec::len), Some(4));

    let is_bounce = |event: &Value| event["type"] == "enrollment.bounced";
    eventually("four bounces to be told", async || {
        let told: Vec<Value> =
            app.requests().iter().filter_map(|request| request.json().ok()).filter(is_bounce).collect();
        if told.len() == 4 { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await?;
    engine.stop().await;
    Ok(())
}
