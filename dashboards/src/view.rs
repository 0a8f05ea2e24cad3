//! A call as the API gives it, and whose it is.

use std::collections::BTreeMap;

use serde::Serialize;
use sotto_access::{Owners, User, Users};
use sotto_events::{AudioFormat, CallId, RetentionClass, TenantId, Timestamp};
use sotto_storage::{CallSummary, Retention, vault::CallState};

/// Keys of the metadata that say whose a call is; what else there is says who calls.
pub const LABELS: [&str; 3] = ["agent", "team", "queue"];

/// One call.
#[derive(Debug, Serialize)]
pub struct CallView {
    pub call_id: CallId,
    pub state: &'static str,
    pub dialect: String,
    pub format: AudioFormat,
    pub created_at: String,
    pub ended_at: Option<String>,
    /// When nothing of it is left.
    pub expires_at: String,
    pub kept_until: KeptUntil,
    pub seq: u64,
    pub metadata: BTreeMap<String, String>,
    /// Since when nothing of it dies or may be erased.
    pub held_at: Option<String>,
    pub agent_name: Option<String>,
}

/// Until when each class of what was kept at its start is kept.
#[derive(Debug, Serialize)]
pub struct KeptUntil {
    transcript: String,
    personal: String,
    score: String,
}

impl CallView {
    pub fn new(call: CallSummary, policy: &Retention, agent: Option<&User>) -> Self {
        let until = |class| rfc3339(policy.expiry(class, call.created_at));
        Self {
            kept_until: KeptUntil {
                transcript: until(RetentionClass::Transcript),
                personal: until(RetentionClass::Personal),
                score: until(RetentionClass::Score),
            },
            call_id: call.call,
            state: match call.state {
                CallState::Open => "open",
                CallState::Ended => "ended",
                CallState::Erased => "erased",
            },
            dialect: call.dialect,
            format: call.format,
            created_at: rfc3339(call.created_at),
            ended_at: call.ended_at.map(rfc3339),
            expires_at: rfc3339(call.expires_at),
            seq: call.seq,
            metadata: call.metadata,
            held_at: call.held_at.map(rfc3339),
            agent_name: agent.map(|user| user.name.clone()),
        }
    }
}

pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}

/// What a call's metadata say of whose it is.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    pub user: Option<User>,
    pub team: Option<String>,
    pub queue: Option<String>,
    pub owners: Owners,
}

impl Labels {
    /// A call belongs to the team it names, else to the teams of its agent.
    pub fn new(users: &Users, tenant: &TenantId, metadata: &BTreeMap<String, String>) -> Self {
        let label = |name: &str| metadata.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let agent = label("agent").map(str::to_lowercase);
        // a store that cannot be read gives nobody rights
        let user = agent.as_deref().and_then(|login| users.find(tenant, login).ok().flatten());
        let teams = match label("team") {
            Some(team) => vec![team.to_owned()],
            None => user.iter().flat_map(|user| user.teams.clone()).collect(),
        };
        Self {
            team: teams.first().cloned(),
            queue: label("queue").map(str::to_owned),
            owners: Owners { agent, teams },
            user,
        }
    }
}

/// The caller's number with all but its end hidden: `***-***-1234`.
pub fn masked_caller(metadata: &BTreeMap<String, String>) -> Option<String> {
    const NAMES: [&str; 6] = ["customer_number", "caller_number", "from", "caller", "phone", "number"];
    let digits = |name: &&str| {
        let digits: String = metadata.get(*name)?.chars().filter(char::is_ascii_digit).collect();
        (digits.len() > 4).then_some(digits)
    };
    let digits = NAMES.iter().find_map(digits)?;
    Some(format!("***-***-{}", &digits[digits.len() - 4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci4_a_number_is_masked_to_its_end() {
        let masked = |key: &str, value: &str| masked_caller(&BTreeMap::from([(key.to_owned(), value.to_owned())]));
        assert_eq!(masked("from", "+49 (30) 5550 1234").as_deref(), Some("***-***-1234"));
        assert_eq!(masked("from", "123"), None);
        assert_eq!(masked("customer_name", "5550 1234"), None);
    }
}
