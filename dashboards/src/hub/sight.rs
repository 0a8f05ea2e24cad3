//! Which calls of the board somebody sees. Those who see the same share what is written for them.

use sotto_access::{Action, Principal, Scope};
use sotto_events::TenantId;

use super::RowView;

/// What somebody sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sight {
    tenant: TenantId,
    reach: Reach,
    /// Rows, not numbers alone.
    rows: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Reach {
    Nobody,
    Own(String),
    Teams(Vec<String>),
    Tenant,
}

impl Sight {
    pub fn of(principal: &Principal) -> Self {
        let rows = principal.scope(Action::SeeCalls) > Scope::Nobody;
        let scope = principal.scope(if rows { Action::SeeCalls } else { Action::SeeNumbers });
        let reach = match (scope, principal) {
            (Scope::Tenant, _) => Reach::Tenant,
            (Scope::Teams, Principal::Person(user)) => Reach::Teams(user.teams.clone()),
            (Scope::Own, _) => principal.agent().map_or(Reach::Nobody, |agent| Reach::Own(agent.to_owned())),
            _ => Reach::Nobody,
        };
        Self { tenant: principal.tenant().clone(), reach, rows }
    }

    /// Whether a call is in the numbers.
    pub fn counts(&self, view: &RowView) -> bool {
        view.tenant == self.tenant
            && match &self.reach {
                Reach::Nobody => false,
                Reach::Own(agent) => view.owners.agent.as_ref() == Some(agent),
                Reach::Teams(teams) => view.owners.teams.iter().any(|team| teams.contains(team)),
                Reach::Tenant => true,
            }
    }

    /// Whether a call has a row.
    pub fn shows(&self, view: &RowView) -> bool {
        self.rows && self.counts(view)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use sotto_access::{Owners, Role, User};

    use super::*;

    /// What is written for several must be what the policy lets each see.
    #[test]
    fn mh4_sight_is_what_the_policy_says() {
        let tenants: Vec<TenantId> = ["acme", "umbrella"].map(|name| name.parse().unwrap()).to_vec();
        for (tenant, agent, team) in tenants
            .iter()
            .flat_map(|tenant| ["ana", "tom"].map(|agent| (tenant, agent)))
            .flat_map(|(tenant, agent)| ["cards", "loans"].map(|team| (tenant, agent, team)))
        {
            let owners = Owners { agent: Some(agent.to_owned()), teams: vec![team.to_owned()] };
            let view = RowView {
                tenant: tenant.clone(),
                call: "call".parse().unwrap(),
                owners,
                json: RawValue::from_string("{}".to_owned()).unwrap(),
                alerts: 0,
                score: None,
                sentiment: None,
            };
            for role in Role::ALL {
                let user = User {
                    login: "ana".to_owned(),
                    tenant: tenants[0].clone(),
                    name: String::new(),
                    role,
                    teams: vec!["cards".to_owned()],
                };
                let person = Principal::Person(user);
                let sight = Sight::of(&person);
                let may = |action| view.tenant == *person.tenant() && person.may(action, &view.owners);
                assert_eq!(sight.shows(&view), may(Action::SeeCalls), "{role} {agent} {team}");
                let counted = may(Action::SeeCalls) || (!sight.rows && may(Action::SeeNumbers));
                assert_eq!(sight.counts(&view), counted, "{role} {agent} {team}");
            }
        }
    }
}
