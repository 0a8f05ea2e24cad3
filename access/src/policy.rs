//! The one table of who may what, and the one door where it is asked. Deny by default.

use sotto_events::TenantId;

use crate::{KeyHolder, Purpose, Role, User};

/// What somebody may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Counts and means, without a name.
    SeeNumbers,
    /// That a call is there, whose it is and how it does.
    SeeCalls,
    /// What was said.
    ReadCalls,
    /// Take an alert in hand.
    Acknowledge,
    /// Send a call of one's own from the browser.
    Speak,
    Erase,
}

impl Action {
    pub const ALL: [Self; 6] =
        [Self::SeeNumbers, Self::SeeCalls, Self::ReadCalls, Self::Acknowledge, Self::Speak, Self::Erase];

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SeeNumbers => "see_numbers",
            Self::SeeCalls => "see_calls",
            Self::ReadCalls => "read_calls",
            Self::Acknowledge => "acknowledge",
            Self::Speak => "speak",
            Self::Erase => "erase",
        }
    }
}

/// Whose calls an action reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Nobody,
    Own,
    Teams,
    Tenant,
}

/// The table.
pub const fn scope(role: Role, action: Action) -> Scope {
    match (role, action) {
        (Role::Admin, _) | (Role::Viewer | Role::Supervisor, Action::SeeNumbers) => Scope::Tenant,
        (Role::Supervisor, Action::SeeCalls | Action::ReadCalls | Action::Acknowledge) => Scope::Teams,
        (Role::Agent, Action::SeeNumbers | Action::SeeCalls | Action::ReadCalls)
        | (Role::Agent | Role::Supervisor, Action::Speak) => Scope::Own,
        (Role::Agent, Action::Acknowledge) | (Role::Agent | Role::Supervisor, Action::Erase) | (Role::Viewer, _) => {
            Scope::Nobody
        }
    }
}

/// Whose a call is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// Login of the agent.
    pub agent: Option<String>,
    pub teams: Vec<String>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A program with a key of a tenant.
    Key(KeyHolder),
    /// A person who is logged in.
    Person(User),
}

impl Principal {
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Key(key) => &key.tenant,
            Self::Person(user) => &user.tenant,
        }
    }

    /// Whose calls this one reaches with an action.
    pub fn scope(&self, action: Action) -> Scope {
        let key = match self {
            Self::Person(user) => return scope(user.role, action),
            Self::Key(key) => key,
        };
        let purpose = match action {
            Action::SeeNumbers | Action::SeeCalls | Action::ReadCalls | Action::Acknowledge => Purpose::Read,
            Action::Speak => Purpose::Ingest,
            Action::Erase => Purpose::Erase,
        };
        match (key.purposes.allow(purpose), &key.agent) {
            // as the role of an agent
            (true, Some(_)) if action == Action::Acknowledge => Scope::Nobody,
            (true, None) => Scope::Tenant,
            (true, Some(_)) => Scope::Own,
            (false, _) => Scope::Nobody,
        }
    }

    /// Whether the action is allowed on a call of these owners, which is of this one's tenant.
    pub fn may(&self, action: Action, owners: &Owners) -> bool {
        match self.scope(action) {
            Scope::Nobody => false,
            Scope::Own => self.agent().is_some_and(|agent| owners.agent.as_deref() == Some(agent)),
            Scope::Teams => match self {
                Self::Person(user) => owners.teams.iter().any(|team| user.teams.contains(team)),
                Self::Key(_) => false,
            },
            Scope::Tenant => true,
        }
    }

    /// The agent whose calls are this one's own.
    pub fn agent(&self) -> Option<&str> {
        match self {
            Self::Key(key) => key.agent.as_deref(),
            Self::Person(user) => Some(&user.login),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(role: Role) -> Principal {
        Principal::Person(User {
            login: "ana".to_owned(),
            tenant: "acme".parse().unwrap(),
            name: "Ana".to_owned(),
            role,
            teams: vec!["cards".to_owned()],
        })
    }

    fn owners(agent: &str, team: &str) -> Owners {
        Owners { agent: Some(agent.to_owned()), teams: vec![team.to_owned()] }
    }

    #[test]
    fn mh4_agents_see_their_own_supervisors_their_teams_admins_all() {
        let calls = [owners("ana", "loans"), owners("tom", "cards"), owners("tom", "loans"), Owners::default()];
        let seen = |role| {
            let person = person(role);
            calls.each_ref().map(|call| person.may(Action::ReadCalls, call))
        };
        assert_eq!(seen(Role::Agent), [true, false, false, false]);
        assert_eq!(seen(Role::Supervisor), [false, true, false, false]);
        assert_eq!(seen(Role::Admin), [true; 4]);
        assert_eq!(seen(Role::Viewer), [false; 4]);
    }

    #[test]
    fn ci7_a_viewer_sees_numbers_only() {
        let allowed: Vec<_> =
            Action::ALL.into_iter().filter(|action| scope(Role::Viewer, *action) > Scope::Nobody).collect();
        assert_eq!(allowed, [Action::SeeNumbers]);
    }

    #[test]
    fn a_key_reaches_what_its_purposes_say_and_a_bound_token_one_agent() {
        let key = |purposes: &str, agent: Option<&str>| {
            Principal::Key(KeyHolder {
                tenant: "acme".parse().unwrap(),
                key: "1".to_owned(),
                purposes: purposes.parse().unwrap(),
                token: agent.is_some(),
                agent: agent.map(str::to_owned),
            })
        };
        assert_eq!(key("read", None).scope(Action::ReadCalls), Scope::Tenant);
        assert_eq!(key("read", None).scope(Action::Erase), Scope::Nobody);
        assert_eq!(key("overlay", Some("ana")).scope(Action::ReadCalls), Scope::Nobody);
        assert_eq!(key("ingest", Some("ana")).scope(Action::Speak), Scope::Own);
    }
}
