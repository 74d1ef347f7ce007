//! Asked after each bounce or complaint, and at each health tick: what becomes of the credential?

use ampout_plugin::{Judgement, Stats};

ampout_plugin::bounce_policy!(judge);

/// Three complaints in a day are enough.
pub fn judge(stats: Stats) -> Judgement {
    let complaints = stats.last_day.complaints;
    if complaints < 3 {
        return Judgement::Keep;
    }
    Judgement::Disable(format!("{complaints} complaints in a day"))
}
@TEST@
