//! How long each class of data lives. Set by tenant, within hard caps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sotto_events::{RetentionClass, TenantId, Timestamp};

const DAY: u64 = 86_400;

/// Lengths in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Utterances and words. Default 7 days, at most 365.
    pub transcript_seconds: u64,
    /// Metadata of calls. Default 30 days, which is also the most.
    pub personal_seconds: u64,
    /// Scores and events without verbatim text. Default and at most 500 days.
    pub score_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { transcript_seconds: 7 * DAY, personal_seconds: 30 * DAY, score_seconds: 500 * DAY }
    }
}

impl Retention {
    /// Says what is beyond its cap.
    ///
    /// # Errors
    /// A sentence for the person who wrote the setting.
    pub fn validate(&self) -> std::result::Result<(), String> {
        let caps = [
            ("transcript_seconds", self.transcript_seconds, 365 * DAY),
            ("personal_seconds", self.personal_seconds, 30 * DAY),
            ("score_seconds", self.score_seconds, 500 * DAY),
        ];
        for (name, value, cap) in caps {
            if value == 0 || value > cap {
                return Err(format!("retention {name} is {value}, must be between 1 and {cap} ({} days)", cap / DAY));
            }
        }
        Ok(())
    }

    /// When something of `class` kept at `now` dies.
    pub fn expiry(&self, class: RetentionClass, now: Timestamp) -> Timestamp {
        now.plus_seconds(match class {
            RetentionClass::Transcript => self.transcript_seconds,
            RetentionClass::Personal => self.personal_seconds,
            RetentionClass::Score => self.score_seconds,
        })
    }

    /// When nothing of a call kept at `now` is left.
    pub fn longest(&self, now: Timestamp) -> Timestamp {
        RetentionClass::ALL.into_iter().map(|class| self.expiry(class, now)).max().unwrap_or(now)
    }
}

/// The policy of every tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionPolicies {
    pub default: Retention,
    pub tenants: BTreeMap<TenantId, Retention>,
}

impl RetentionPolicies {
    /// The tenant's own, or the default.
    pub fn of(&self, tenant: &TenantId) -> &Retention {
        self.tenants.get(tenant).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci5_personal_data_cannot_be_kept_longer_than_thirty_days() {
        let policy = Retention { personal_seconds: 31 * DAY, ..Retention::default() };
        assert!(policy.validate().unwrap_err().contains("30 days"));
        assert_eq!(Retention::default().validate(), Ok(()));
    }

    #[test]
    fn mh6_transcripts_live_seven_days_unless_told() {
        let start = Timestamp(1_000);
        let policies = RetentionPolicies::default();
        let tenant = "acme".parse().unwrap();
        assert_eq!(policies.of(&tenant).expiry(RetentionClass::Transcript, start), start.plus_seconds(7 * DAY));
    }
}
