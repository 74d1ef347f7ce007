//! The states that rows go through, with the words that the HTTP contract and the database share.

macro_rules! words {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$case_doc:meta])* $case:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $($(#[$case_doc])* #[serde(rename = $word)] $case),+
        }

        impl $name {
            /// Every case, in order.
            pub const ALL: &'static [Self] = &[$(Self::$case),+];

            /// The word in the contract and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$case => $word),+ }
            }

            /// The case of a word, if it is one.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$case),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// A campaign's life.
    pub CampaignStatus {
        /// Never dispatched.
        Pending = "pending",
        /// Sending, or waiting to.
        Active = "active",
        /// Stopped by a person or because no credential is left.
        Paused = "paused",
        /// Nothing is left to send.
        Finished = "finished",
    }
}

words! {
    /// How far a contact got in a campaign.
    pub EnrollmentStatus {
        /// Nothing was sent yet.
        Pending = "pending",
        /// At least one step was accepted by a server.
        Sent = "sent",
        /// The pixel was loaded.
        Opened = "opened",
        /// A person answered.
        Replied = "replied",
        /// The address does not take mail.
        Bounced = "bounced",
    }
}

words! {
    /// A row of the ledger. ARCHITECTURE.md has the arrows between them.
    pub SendState {
        /// Waits for its time.
        Due = "due",
        /// A node holds it under a lease; nothing has left.
        Claimed = "claimed",
        /// The transaction may have begun: written before DATA.
        Sending = "sending",
        /// Accepted by the server.
        Sent = "sent",
        /// Refused for the recipient's sake.
        Bounced = "bounced",
        /// Given up, or impossible.
        Failed = "failed",
        /// The server may have it; nobody knows. Never sent again by itself.
        InDoubt = "in_doubt",
        /// Not to be sent: the enrollment stopped, or a gate said so.
        Skipped = "skipped",
    }
}

words! {
    /// What a person knows of a send in doubt, or wants.
    pub ResolvedAs {
        /// It left.
        Sent = "sent",
        /// It is to be sent again.
        Retry = "retry",
    }
}

words! {
    /// What a bounce says of the address.
    pub BounceClass {
        /// The address or its domain is dead.
        Hard = "hard",
        /// Full, greylisted, or given up on a temporary fault.
        Soft = "soft",
        /// Reputation, authentication, content or size: the address lives.
        Policy = "policy",
    }
}

words! {
    /// How a connection is secured.
    pub TlsMode {
        /// Implicit on the implicit port (465, 993), otherwise STARTTLS is required.
        Auto = "auto",
        /// TLS from the first byte.
        Implicit = "implicit",
        /// STARTTLS, required.
        Starttls = "starttls",
        /// Plain text; only where the operator allows it.
        None = "none",
    }
}

words! {
    /// The four places where an extension is asked.
    pub Hook {
        /// What is this inbound message?
        ReplyClassifier = "reply-classifier",
        /// What does this provider's webhook say?
        ProviderAdapter = "provider-adapter",
        /// Are these bounces too many?
        BouncePolicy = "bounce-policy",
        /// May this message leave now?
        SendGate = "send-gate",
    }
}
