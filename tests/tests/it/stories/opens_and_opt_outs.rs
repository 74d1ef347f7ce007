//! What a recipient's programs and a recipient do with a message: machines look at it on its way, a person opens it, and
//! leaves by one click or by the page's button, in a browser that runs no script.

use std::time::Duration;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::ReceiverTls;
use ampout_tests::{
    Browser, Campaign, CampaignPlan, Database, Engine, Key, Letter, Scripts, credential, letters, provider, text,
};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::Value;

super::on_both_databases!(
    a_person_opens_and_machines_do_not,
    one_click_unsubscribes_for_good,
    many_looks_and_clicks_at_once_are_one_fact_each
);

const ADA: &str = "ada@lovelace.test";
const BO: &str = "bo@there.test";
const GMAIL: &str = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A campaign of two steps whose first messages have arrived.
async fn written_to(database: Database, recipients: &[&str]) -> anyhow::Result<(Engine, Campaign, Vec<Letter>)> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let plan = CampaignPlan::new("Spring").credential(credential(ADA, &ada, "implicit"));
    let plan = plan.step(0, "A question", "<p>Hi</p>").step(60, "Still there?", "<p>Hm</p>");
    let campaign = plan.make(&engine.api).await?;
    campaign.send_to(recipients).await?;
    let letters = letters(&ada, recipients.len()).await?;
    for recipient in recipients {
        campaign.becomes(recipient, "sent").await?;
    }
    Ok((engine, campaign, letters))
}

async fn a_person_opens_and_machines_do_not(database: Database) -> anyhow::Result<()> {
    let (engine, campaign, letters) = written_to(database, &[BO]).await?;
    let pixel = letters[0].pixel()?;
    let look = async |method: Method, headers: &[(&str, &str)]| engine.api.visit(method, &pixel, headers, "").await;
    let outlook = ("user-agent", "Mozilla/4.0 (compatible; MSIE 7.0; Microsoft Outlook 16.0)");
    // The gateway, while nobody can have read it.
    let image = look(Method::GET, &[outlook]).await?;
    ensure!(image.body.starts_with(b"GIF89a") && image.headers["content-type"] == "image/gif", "{image:?}");
    engine.clock.advance(Duration::from_secs(60));
    look(Method::HEAD, &[outlook]).await?;
    look(Method::GET, &[("user-agent", "Mozilla/5.0")]).await?;
    look(Method::GET, &[("user-agent", "curl/8.5.0")]).await?;
    assert_eq!(campaign.enrollment_of(BO).await?["status"], "sent");
    look(Method::GET, &[("user-agent", GMAIL)]).await?;
    let opened = campaign.enrollment_of(BO).await?;
    assert_eq!(opened["status"], "opened");
    engine.clock.advance(Duration::from_secs(60));
    look(Method::GET, &[outlook]).await?;
    assert_eq!(campaign.enrollment_of(BO).await?["opened_at"], opened["opened_at"]);
    let altered = pixel.replace("/t/", "/t/A");
    assert_eq!(engine.api.visit(Method::GET, &altered, &[outlook], "").await?.status, 404);
    engine.stop().await;
    Ok(())
}

async fn one_click_unsubscribes_for_good(database: Database) -> anyhow::Result<()> {
    let (engine, campaign, letters) = written_to(database, &[BO]).await?;
    let link = letters[0].unsubscribe_link();
    // What a link checker does, and then what a mail program does (RFC 8058, section 3.1).
    engine.api.visit(Method::GET, link, &[("accept", "text/html")], "").await?;
    assert_eq!(contact_of(&engine, &campaign).await?["unsubscribed_at"], Value::Null);
    let click = async || engine.api.visit(Method::POST, link, &[FORM], "List-Unsubscribe=One-Click").await;
    let (first, second) = (click().await?, click().await?);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_eq!(first.body, second.body);
    ensure!(!first.headers.contains_key("set-cookie") && !first.headers.contains_key("location"), "{first:?}");
    ensure!(contact_of(&engine, &campaign).await?["unsubscribed_at"].is_string(), "the click is not kept");
    let told = engine.as_time_passes(Duration::from_secs(5), "the event", async || {
        let told =
            engine.api.get("/events?type=enrollment.unsubscribed").await.map_err(|error| format!("{error:#}"))?;
        if told.as_array().is_some_and(|told| !told.is_empty()) { Ok(told) } else { Err(told.to_string()) }
    });
    assert_eq!(told.await?.as_array().map(Vec::len), Some(1), "it is told once");

    // Its follow-up never leaves, and the address is kept from whoever imports it anew.
    engine.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(campaign.transactions_of(BO).await?.len(), 1);
    let suppressed = engine.api.get("/suppressions").await?;
    assert_eq!((&suppressed[0]["value"], suppressed.as_array().map(Vec::len)), (&Value::from(BO), Some(1)));
    engine.stop().await;
    Ok(())
}

/// Each look and each click is a transaction over the same rows, in whatever order the database takes their locks.
async fn many_looks_and_clicks_at_once_are_one_fact_each(database: Database) -> anyhow::Result<()> {
    let recipients: Vec<String> = (0..8).map(|n| format!("bo.{n}@there.test")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let (engine, campaign, letters) = written_to(database, &recipients).await?;
    engine.clock.advance(Duration::from_secs(60));
    let mut visits = Vec::new();
    for letter in letters.iter().cycle().take(8 * 8) {
        let (api, pixel, link) = (engine.api.clone(), letter.pixel()?, letter.unsubscribe_link().to_owned());
        visits.push(tokio::spawn(async move {
            let (look, click) = tokio::join!(
                api.visit(Method::GET, &pixel, &[("user-agent", GMAIL)], ""),
                api.visit(Method::POST, &link, &[FORM], "List-Unsubscribe=One-Click"),
            );
            anyhow::Ok((look?.status, click?.status))
        }));
    }
    for visit in visits {
        let (look, click) = visit.await??;
        assert_eq!((look.as_u16(), click.as_u16()), (200, 200));
    }
    for recipient in recipients {
        assert_eq!(campaign.enrollment_of(recipient).await?["status"], "opened");
        let timeline = campaign.timeline_of(recipient).await?;
        let told =
            |name: &str| timeline.iter().filter(|fact| fact["type"] == name || fact["event_type"] == name).count();
        assert_eq!((told("enrollment.opened"), told("enrollment.unsubscribed")), (1, 1), "{timeline:#?}");
    }
    assert_eq!(campaign.show().await?["totals"]["opened"], 8);
    engine.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_works_in_a_browser_without_scripts() -> anyhow::Result<()> {
    let (engine, campaign, letters) = written_to(Database::Sqlite, &[BO]).await?;
    let link = letters[0].unsubscribe_link();
    let browser = Browser::start(Scripts::Off).await?;
    browser.open(link).await?;
    assert_eq!(browser.title().await?, "Unsubscribe");
    assert_eq!((browser.count("script").await?, browser.count("button").await?), (0, 1));
    assert_eq!(browser.announced("button").await?, ("button".to_owned(), "Unsubscribe".to_owned()));
    assert_eq!(browser.announced("h1").await?, ("heading".to_owned(), "Unsubscribe".to_owned()));
    ensure!(browser.source().await?.contains("<html lang=\"en\">"), "the page does not say its language");
    // The policy lets the page's own style through: the browser draws it.
    let (ink, paper) = (browser.style("button", "color").await?, browser.style("button", "background-color").await?);
    ensure!(contrast(&ink, &paper)? >= 4.5, "{ink} on {paper} is hard to read");
    let (ink, paper) = (browser.style("body", "color").await?, browser.style("body", "background-color").await?);
    ensure!(contrast(&ink, &paper)? >= 7.0, "{ink} on {paper} is hard to read");
    assert_eq!(contact_of(&engine, &campaign).await?["unsubscribed_at"], Value::Null);

    // By keyboard alone: one step to the button, whose focus is seen, and Enter.
    browser.press(&[Key::Tab]).await?;
    assert_eq!(browser.focused().await?, "button");
    assert_eq!(browser.style("button", "outline-style").await?, "solid");
    browser.press(&[Key::Enter]).await?;
    answered(&browser).await?;
    ensure!(contact_of(&engine, &campaign).await?["unsubscribed_at"].is_string(), "the button does nothing");

    // By mouse, once more, is the same page; and a link that was cut off says so.
    browser.open(link).await?;
    browser.click("button").await?;
    answered(&browser).await?;
    assert_eq!(browser.text_of("h1").await?, "Unsubscribed");
    browser.open(&link[..link.len() - 1]).await?;
    assert_eq!((browser.text_of("h1").await?.as_str(), browser.count("button").await?), ("This link does not work", 0));
    engine.stop().await;
    Ok(())
}

async fn answered(browser: &Browser) -> anyhow::Result<()> {
    ampout_tests::eventually("the answer's page", async || match browser.title().await {
        Ok(title) if title == "Unsubscribed" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

async fn contact_of(engine: &Engine, campaign: &Campaign) -> anyhow::Result<Value> {
    let enrollment = campaign.enrollment_of(BO).await?;
    engine.api.get(&format!("/contacts/{}", text(&enrollment["contact_id"])?)).await
}

/// The contrast of two colours as the Web Content Accessibility Guidelines count it, from 1 to 21.
fn contrast(one: &str, other: &str) -> anyhow::Result<f64> {
    let (one, other) = (luminance(one)?, luminance(other)?);
    Ok((one.max(other) + 0.05) / (one.min(other) + 0.05))
}

/// Of `rgb(…)` or `rgba(…)`.
fn luminance(colour: &str) -> anyhow::Result<f64> {
    let numbers = colour.split(|c: char| !c.is_ascii_digit() && c != '.').filter(|part| !part.is_empty());
    let parts: Vec<f64> = numbers.map(str::parse).collect::<Result<_, _>>()?;
    let linear = |part: f64| {
        let part = part / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let [red, green, blue] = parts.get(..3).and_then(|rgb| rgb.try_into().ok()).context("no colour")?;
    Ok(0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue))
}
