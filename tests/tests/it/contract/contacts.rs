//! Contacts, their imports, and suppressions.

use ampout_tests::text;
use reqwest::Method;
use serde_json::json;

use super::{BO, World, has, is, told_of, with_status};

#[tokio::test]
async fn contacts_are_imported_as_json() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.import(&[BO]).await?;
    let person = |email: &str| json!({ "email": email, "first_name": "A", "last_name": null, "company": "C" });
    let contacts = [person(" CY@There.test "), person("cy@there.test"), person(BO)];
    let body = json!({ "contact_import": { "name": "more", "contacts": contacts } });
    let made = with_status(world.post("/contact_imports", body).await?, 201)?;
    has(&made, "id name record_count skipped")?;
    let shown = world.api().get(&format!("/contact_imports/{}", text(&made["id"])?)).await?;
    has(&shown, "id name record_count contact_count")?;
    assert_eq!((&shown["record_count"], &shown["contact_count"]), (&json!(3), &json!(1)));
    assert_eq!(world.api().get("/contact_imports").await?[0]["id"], made["id"]);
    let contacts = world.api().get(&format!("/contact_imports/{}/contacts", text(&made["id"])?)).await?;
    has(&contacts[0], "id email first_name last_name company")?;

    let empty = json!({ "contact_import": { "name": "none", "contacts": [] } });
    world.post("/contact_imports", empty).await?.refused(422, "no_contacts_provided")?;
    let wrong = json!({ "contact_import": { "name": "bad", "contacts": [{ "email": BO }, { "email": "nobody" }] } });
    let refused = world.post("/contact_imports", wrong).await?.refused(422, "validation_failed")?;
    told_of(&refused, "contact_import.contacts.1.email")?;
    Ok(())
}

#[tokio::test]
async fn contacts_are_imported_as_csv() -> anyhow::Result<()> {
    let world = World::start().await?;
    let file = "\u{feff}Company,EMAIL,first_name,Shoe size\r\n\"Lovelace,\r\nand Sons\",ada@there.test,Ada,38\r\n\
                Nobody,nobody,No,1\r\nThere,bo@there.test,Bo,44\r\n";
    let answer = world.api().upload("/contact_imports?name=people", "text/csv", file.as_bytes()).await?;
    let made = with_status(answer, 201)?;
    assert_eq!(
        (&made["name"], &made["rejected_count"], &made["rejected"][0]["line"]),
        (&json!("people"), &json!(1), &json!(4))
    );
    is(&made["rejected"][0], "line error")?;
    let contacts = world.api().get(&format!("/contact_imports/{}/contacts", text(&made["id"])?)).await?;
    let ada = contacts.as_array().into_iter().flatten().find(|contact| contact["email"] == "ada@there.test").cloned();
    assert_eq!(ada.map(|ada| ada["company"].clone()), Some(json!("Lovelace,\r\nand Sons")));
    Ok(())
}

#[tokio::test]
async fn a_deleted_import_takes_its_contacts_and_their_enrollments() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let import = world.import(&[BO]).await?;
    world.api().post(&campaign.path("/enroll"), json!({ "contact_import_id": import })).await?;
    let path = format!("/contact_imports/{import}");
    assert_eq!(with_status(world.delete(&path).await?, 200)?, json!({ "id": import, "status": "deleted" }));
    world.api().call(Method::GET, &path, None).await?.refused(404, "contact_import_not_found")?;
    ampout_tests::eventually("its enrollments to be gone", async || {
        let left = world.api().get(&campaign.path("/enrollments")).await.map_err(|error| error.to_string())?;
        if left == json!([]) { Ok(()) } else { Err(left.to_string()) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_contact_is_shown_changed_and_deleted() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let contact = world.contact(BO).await?;
    world.api().post(&campaign.path("/enroll_contact"), json!({ "contact_id": contact })).await?;
    let path = format!("/contacts/{contact}");
    let shown = world.api().get(&path).await?;
    has(&shown, "id email first_name last_name company unsubscribed_at enrollments")?;
    is(&shown["enrollments"][0], "id campaign_id status batch_number sent_at")?;
    let change = json!({ "contact": { "company": "Elsewhere" } });
    let changed = with_status(world.api().call(Method::PATCH, &path, Some(change)).await?, 200)?;
    assert_eq!(changed["company"], "Elsewhere");
    let choice = json!({ "contact": { "unsubscribed_at": null } });
    let refused = world.api().call(Method::PATCH, &path, Some(choice)).await?.refused(422, "validation_failed")?;
    told_of(&refused, "contact.unsubscribed_at")?;
    assert_eq!(with_status(world.delete(&path).await?, 200)?, json!({ "id": contact, "status": "deleted" }));
    world.api().call(Method::GET, &path, None).await?.refused(404, "contact_not_found")?;
    Ok(())
}

#[tokio::test]
async fn addresses_and_domains_are_suppressed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let address = with_status(world.post("/suppressions", json!({ "suppression": { "email": BO } })).await?, 201)?;
    with_status(world.post("/suppressions", json!({ "suppression": { "domain": "Never.test" } })).await?, 201)?;
    assert_eq!(world.api().get("/suppressions").await?.as_array().map(Vec::len), Some(2));
    let enrolled = campaign.enroll(&[BO, "cy@never.test", "dee@there.test"]).await?;
    assert_eq!((&enrolled["enrolled"], enrolled["skipped"].as_array().map(Vec::len)), (&json!(1), Some(2)));
    assert_eq!(campaign.show().await?["skipped"]["suppressed"], 2);
    let path = format!("/suppressions/{}", text(&address["id"])?);
    assert_eq!(with_status(world.delete(&path).await?, 200)?["status"], "deleted");
    world.delete(&path).await?.refused(404, "suppression_not_found")?;
    Ok(())
}
