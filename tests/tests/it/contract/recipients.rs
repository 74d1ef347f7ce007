//! Opens and unsubscribes.

use ampout_tests::{letters, text};
use anyhow::{Context, ensure};

use super::{BO, World};

#[tokio::test]
async fn a_message_carries_a_pixel_and_a_one_click_unsubscribe() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    campaign.send_to(&[BO]).await?;
    campaign.becomes(BO, "sent").await?;
    let letter = letters(&world.provider, 1).await?.remove(0);
    assert_eq!(letter.header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    let link = letter.header("List-Unsubscribe").trim_matches(['<', '>']).to_owned();
    ensure!(link.contains("/u/") && !letter.header("List-Unsubscribe").contains("mailto:"), "{link}");
    let altered = format!("{}x", &link[..link.len() - 1]);
    assert_eq!(world.api().post_publicly(&altered, "application/x-www-form-urlencoded", "").await?.as_u16(), 404);
    let pixel = letter.html().split('"').find(|part| part.contains("/t/")).context("no pixel")?.to_owned();
    ensure!(pixel.ends_with(".gif"), "{pixel}");
    let form = "List-Unsubscribe=One-Click";
    assert_eq!(world.api().post_publicly(&link, "application/x-www-form-urlencoded", form).await?.as_u16(), 200);
    let contact = campaign.enrollment_of(BO).await?["contact_id"].clone();
    let contact = world.api().get(&format!("/contacts/{}", text(&contact)?)).await?;
    ensure!(contact["unsubscribed_at"].is_string(), "{contact}");
    Ok(())
}
