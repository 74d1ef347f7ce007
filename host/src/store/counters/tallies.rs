//! What many facts change in the counters of campaigns and their batches: summed in memory, written once a row.

use std::collections::BTreeMap;

use crate::domain::ids::CampaignId;
use crate::domain::status::EnrollmentStatus;
use crate::store::Writes;
use crate::store::dialect::json_of;
use crate::store::enrollments::Enrollment;

/// The sums, by campaign and batch.
#[derive(Debug, Default)]
pub struct Tallies(BTreeMap<(CampaignId, i64), Sums>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sums {
    /// In the order of [`EnrollmentStatus::ALL`].
    standing: [i64; 5],
    sent_ever: i64,
    opened_ever: i64,
    replied_ever: i64,
}

impl Tallies {
    /// One enrollment went from the status that it has to another in which it had never been.
    pub fn moved(&mut self, enrollment: &Enrollment, to: EnrollmentStatus) {
        let sums = self.of(enrollment);
        for (at, status) in EnrollmentStatus::ALL.iter().enumerate() {
            sums.standing[at] += i64::from(*status == to) - i64::from(*status == enrollment.status);
        }
        sums.opened_ever += i64::from(to == EnrollmentStatus::Opened);
        sums.replied_ever += i64::from(to == EnrollmentStatus::Replied);
    }

    /// One was sent to for the first time. That is not counted by its status, which an answer may be ahead of.
    pub fn sent_first(&mut self, enrollment: &Enrollment) {
        self.of(enrollment).sent_ever += 1;
    }

    /// One was looked at that had gone on from there: it is in no other status for that.
    pub fn opened_late(&mut self, enrollment: &Enrollment) {
        self.of(enrollment).opened_ever += 1;
    }

    fn of(&mut self, enrollment: &Enrollment) -> &mut Sums {
        self.0.entry((enrollment.campaign_id, enrollment.batch_number)).or_default()
    }

    /// Adds the sums to what is kept.
    pub fn write(self, writes: &mut Writes) {
        let mut by_campaign: BTreeMap<CampaignId, Sums> = BTreeMap::new();
        for ((campaign, _), sums) in &self.0 {
            by_campaign.entry(*campaign).or_default().add(sums);
        }
        let of_campaigns = by_campaign.iter().map(|(campaign, sums)| (campaign.to_string(), "", sums)).collect();
        let ever =
            ", sent_ever = sent_ever + CAST(given.c7 AS BIGINT), opened_ever = opened_ever + CAST(given.c8 AS BIGINT),
                    replied_ever = replied_ever + CAST(given.c9 AS BIGINT)";
        add(writes, "campaign_counters", ever, "", of_campaigns);
        let is_moved = |sums: &Sums| sums.standing != [0; 5];
        let batches: Vec<_> =
            self.0.iter().map(|((campaign, batch), sums)| (campaign, batch.to_string(), sums)).collect();
        let of_batches = batches.iter().filter(|(.., sums)| is_moved(sums));
        let of_batches =
            of_batches.map(|(campaign, batch, sums)| (campaign.to_string(), batch.as_str(), *sums)).collect();
        add(writes, "batch_counters", "", " AND batch_counters.batch_number = CAST(given.c1 AS BIGINT)", of_batches);
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        for (sum, more) in self.standing.iter_mut().zip(other.standing) {
            *sum += more;
        }
        self.sent_ever += other.sent_ever;
        self.opened_ever += other.opened_ever;
        self.replied_ever += other.replied_ever;
    }
}

fn add(writes: &mut Writes, table: &str, ever: &str, of_batch: &str, sums: Vec<(String, &str, &Sums)>) {
    if sums.is_empty() {
        return;
    }
    let standing = EnrollmentStatus::ALL.iter().enumerate();
    let standing = standing.map(|(at, status)| format!("{status} = {status} + CAST(given.c{} AS BIGINT)", at + 2));
    let sql = format!(
        "UPDATE {table} SET {}{ever} FROM {} AS given WHERE {table}.campaign_id = given.c0{of_batch}",
        standing.collect::<Vec<_>>().join(", "),
        writes.dialect().json_rows(10)
    );
    let rows = sums.into_iter().map(|(campaign, batch, sums)| {
        let counts = sums.standing.into_iter().chain([sums.sent_ever, sums.opened_ever, sums.replied_ever]);
        [campaign, batch.to_owned()].into_iter().chain(counts.map(|count| count.to_string())).collect::<Vec<_>>()
    });
    writes.add(sql, [json_of(rows).into()]);
}
