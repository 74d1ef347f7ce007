//! The vocabulary of explanations.

use crate::domain::status::words;

words! {
    /// What a campaign is doing.
    pub ExplainState {
        /// Messages are leaving.
        Sending = "sending",
        /// The next message waits for its time; nothing is wrong.
        Waiting = "waiting",
        /// Something is due, or will be, and a limit holds it back.
        Blocked = "blocked",
        /// Nothing is planned.
        Idle = "idle",
    }
}

words! {
    /// What a campaign waits for.
    pub ReasonCode {
        /// Nobody is enrolled.
        NobodyEnrolled = "nobody_enrolled",
        /// Enrollments are there, and the campaign was never dispatched.
        NeverDispatched = "never_dispatched",
        /// Enrollments came after the last dispatch and wait for one of their own.
        NotDispatched = "not_dispatched",
        /// Everything was sent.
        Finished = "finished",
        /// Every enrollment was sent to, or has ended.
        NothingToSend = "nothing_to_send",
        /// Messages may or may not have left; nothing follows them until that is known.
        InDoubt = "in_doubt",
        /// A person or the last credential's end paused it.
        CampaignPaused = "campaign_paused",
        /// The waits between first messages, or a step's delay; ends at `until`.
        WaitingForDueTime = "waiting_for_due_time",
        /// A server, an MX look-up or a send gate put the next message off; again at `until`.
        PutOff = "put_off",
        /// The campaign has no credential.
        NoCredential = "no_credential",
        /// A policy or a person disabled the credential `subject_id`.
        CredentialDisabled = "credential_disabled",
        /// The server of the credential `subject_id` refused it; it is tried again at `until`.
        CredentialResting = "credential_resting",
        /// As many messages of the credential `subject_id` are on their way as its connections carry.
        CredentialBusy = "credential_busy",
        /// The credential `subject_id` has used its daily limit; ends at the UTC midnight `until`.
        DailyLimitReached = "daily_limit_reached",
        /// The credential `subject_id` has a daily limit of 0.
        DailyLimitIsZero = "daily_limit_is_zero",
        /// The account `subject_id` has sent what its plan allows in a month; ends with the UTC month at `until`.
        PlanLimitReached = "plan_limit_reached",
    }
}
