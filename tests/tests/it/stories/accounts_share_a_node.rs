//! Two accounts on one node: what is wrong with the servers of one is not noticed by the other.

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Action, Moment, ReceiverTls};
use ampout_tests::{CampaignPlan, Database, Engine, credential, eventually, provider};

super::on_both_databases!(servers_that_hang_leave_connections_to_the_other_account);

const ADA: &str = "ada@lovelace.test";
const GRACE: &str = "grace@hopper.test";

async fn servers_that_hang_leave_connections_to_the_other_account(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let hanging = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    hanging.set_rule(|moment| matches!(moment, Moment::Message { .. }).then_some(Action::Hang));
    let fine = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database)
        .trust(certificates.ca_pem())
        .set("smtp_connections", 2)
        .set("smtp_connections_per_account", 1)
        .start()
        .await?;

    let plan = CampaignPlan::new("Into the void").credential(credential(ADA, &hanging, "implicit"));
    let stuck = plan.make(&engine.api).await?;
    stuck.send_to(&["a@there.test", "b@there.test", "c@there.test"]).await?;
    eventually("a message to hang", async || match hanging.connections() {
        0 => Err("there is no connection"),
        _ => Ok(()),
    })
    .await?;

    let others = engine.another_account().await?;
    let plan = CampaignPlan::new("On time").credential(credential(GRACE, &fine, "implicit"));
    let campaign = plan.make(&others).await?;
    campaign.send_to(&["d@there.test"]).await?;
    campaign.becomes("d@there.test", "sent").await?;
    assert_eq!((hanging.connections(), stuck.show().await?["totals"]["sent"].as_u64()), (1, Some(0)));

    // A stop waits for what is on its way.
    drop(hanging);
    engine.stop().await;
    Ok(())
}
