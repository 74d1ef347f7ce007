use serde_json::json;

use super::*;
use crate::crash::ledger::SendRow;

/// Three contacts: one got both steps, of one step 1 is in doubt, of one step 2.
fn good() -> Seen {
    let send = |enrollment: &str, step: i64, state: &str| SendRow {
        id: format!("{enrollment}-{step}"),
        enrollment: enrollment.to_owned(),
        step,
        state: state.to_owned(),
        credential: Some("ada".to_owned()),
        has_day: step == 1,
        has_month: true,
        is_accepted: state == "sent",
    };
    let mut seen = Seen { contacts: 3, connections_a_node: 2, ..Seen::default() };
    seen.kills = vec![vec!["b-1".to_owned(), "c-2".to_owned()], Vec::new()];
    seen.at_server = ["a-1", "a-2", "b-1", "c-1"].map(|id| format!("{id}@lovelace.test")).to_vec();
    seen.ledger.sends = vec![
        send("a", 1, "sent"),
        send("a", 2, "sent"),
        send("b", 1, "in_doubt"),
        send("c", 1, "sent"),
        send("c", 2, "in_doubt"),
    ];
    seen.ledger.reserved = (3, 5);
    seen.campaign = json!({
        "totals": { "sent": 2, "pending": 1 },
        "per_batch": [{ "totals": { "sent": 2 } }],
        "credentials": [{ "id": "ada", "from_email": "ada@lovelace.test", "transactions": 3 }],
    });
    seen.status = json!({ "queue": { "due": 0, "in_doubt": 2 } });
    seen.statuses =
        [("a", "sent"), ("b", "pending"), ("c", "sent")].map(|(id, is)| (id.to_owned(), is.to_owned())).to_vec();
    let event =
        |id: &str, kind: &str, data: Value| Event::of(&json!({ "id": id, "type": kind, "data": data })).unwrap();
    let sent = |id: &str, of: &str| event(id, "enrollment.sent", json!({ "enrollment_id": of }));
    seen.events = vec![sent("1", "a"), sent("2", "c"), sent("3", "a"), event("4", "campaign.finished", json!({}))];
    // At least once, and in order within an enrollment alone.
    seen.told = [1, 0, 2, 2, 3, 0].map(|n| seen.events[n].clone()).to_vec();
    seen
}

#[track_caller]
fn finds(what: &str, spoil: impl FnOnce(&mut Seen)) {
    let mut seen = good();
    spoil(&mut seen);
    let broken = seen.broken_promises();
    assert!(broken.iter().any(|fault| fault.starts_with(what)), "no {what:?} in {broken:?}");
}

#[test]
fn what_is_as_it_should_be_breaks_no_promise() {
    assert_eq!(good().broken_promises(), [""; 0]);
    let figures = good().figures();
    assert_eq!((figures.sent, figures.in_doubt, figures.in_doubt_and_not_at_server), (3, 2, 1));
}

#[test]
fn a_message_that_left_twice_or_never_is_found() {
    finds("the server has messages more than once", |seen| seen.at_server.push("a-1@lovelace.test".to_owned()));
    finds("sent, and the server does not have it", |seen| drop(seen.at_server.remove(0)));
    finds("the server has it, and it is neither", |seen| seen.at_server.push("d-1@lovelace.test".to_owned()));
    finds("neither sent nor in doubt in the end", |seen| seen.ledger.sends[0].state = "claimed".to_owned());
    finds("first steps", |seen| seen.contacts = 4);
    finds("got step 1 and no step 2", |seen| drop(seen.ledger.sends.pop()));
}

#[test]
fn a_doubt_too_many_is_found() {
    finds("in doubt without a kill", |seen| drop(seen.kills[0].pop()));
    finds("more on their way than there were connections", |seen| seen.kills[0].push("a-1".to_owned()));
}

#[test]
fn figures_that_disagree_are_found() {
    finds("totals.sent", |seen| seen.campaign["totals"]["sent"] = json!(3));
    finds("sent in all batches", |seen| seen.campaign["per_batch"] = json!([]));
    finds("transactions of", |seen| seen.campaign["credentials"][0]["transactions"] = json!(4));
    finds("status.in_doubt", |seen| seen.status["queue"]["in_doubt"] = json!(0));
    finds("places of daily limits", |seen| seen.ledger.reserved.0 = 2);
    finds("places of the month", |seen| seen.ledger.reserved.1 = 6);
    finds("sent without its server's reply", |seen| seen.ledger.sends[0].is_accepted = false);
    finds("sent without its server's reply", |seen| seen.ledger.sends[2].is_accepted = true);
    finds("shown, and not so in the ledger", |seen| seen.statuses[1].1 = "sent".to_owned());
}

#[test]
fn events_that_are_missing_twice_or_out_of_order_are_found() {
    finds("other events than sent steps", |seen| drop(seen.events.remove(0)));
    finds("distinct events", |seen| seen.events.push(seen.events[0].clone()));
    finds("campaign.finished", |seen| drop(seen.events.pop()));
    finds("in the stream and not told so", |seen| seen.told.retain(|event| event.id != "2"));
    finds("told in another order", |seen| seen.told.rotate_left(2));
    finds("told anew with other words", |seen| seen.told[5].whole["data"]["status"] = json!("pending"));
}
