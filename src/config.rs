//! Configuration: one TOML file and a few environment variables, checked before anything starts. `docs/configuration.md`
//! lists every setting.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sotto_events::TenantId;
use sotto_ingest::Limits;
use sotto_pipeline::{PipelineSettings, Recognisers, RedactionSettings};
use sotto_storage::{
    Retention, RetentionPolicies, backup::ERASED, bus::kafka::KafkaSettings, vault::scylla::ScyllaSettings,
};

use crate::scorecards::ScorecardFolders;

/// What is wrong with a setting, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes calls and writes them down.
    Ingest,
    /// Brings what is on the bus into rows.
    Writer,
    /// Shows calls: the API and its pages.
    Board,
}

/// Where Sotto listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Calls come in here, over WebSockets.
    pub calls: SocketAddr,
    /// HTTP API, metrics and probes.
    pub api: SocketAddr,
    /// PEM file with the certificate chain.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the private key.
    pub tls_key: Option<PathBuf>,
    /// Allows addresses other than loopback without TLS, for a proxy in front that ends TLS.
    pub allow_plaintext: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            calls: SocketAddr::from(([127, 0, 0, 1], 7300)),
            api: SocketAddr::from(([127, 0, 0, 1], 7301)),
            tls_certificate: None,
            tls_key: None,
            allow_plaintext: false,
        }
    }
}

/// How much one machine takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// Calls on air at once.
    pub calls: usize,
    /// Calls on air at once, of one tenant.
    pub calls_per_tenant: usize,
    /// Connections open at once, of each listener.
    pub connections: usize,
    /// No new call when load would make partials come less often than every so many seconds.
    pub slowest_partials: f64,
    /// How long a call whose socket broke waits for its caller.
    pub resume_seconds: u64,
    /// Threads for speech; 0 for one a core.
    pub speech_threads: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            calls: 200,
            calls_per_tenant: 200,
            connections: 2_000,
            slowest_partials: 1.0,
            resume_seconds: 60,
            speech_threads: 0,
        }
    }
}

/// What is special about one tenant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    pub retention: TenantRetention,
    /// Instead of `[pipeline.redaction]`.
    pub redaction: Option<RedactionSettings>,
    pub twilio: Option<Twilio>,
    /// Instead of the folder at the top.
    pub scorecards: Option<PathBuf>,
    /// Its rows are in a keyspace of their own; with `[scylla]` only.
    pub own_keyspace: bool,
}

/// What a tenant keeps for another time than `[retention]` says. Seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantRetention {
    pub transcript_seconds: Option<u64>,
    pub personal_seconds: Option<u64>,
    pub score_seconds: Option<u64>,
}

impl TenantRetention {
    fn over(&self, default: &Retention) -> Retention {
        Retention {
            transcript_seconds: self.transcript_seconds.unwrap_or(default.transcript_seconds),
            personal_seconds: self.personal_seconds.unwrap_or(default.personal_seconds),
            score_seconds: self.score_seconds.unwrap_or(default.score_seconds),
        }
    }
}

/// A Twilio account; its calls come to `/v1/twilio/<tenant>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Twilio {
    pub auth_token: String,
    /// The URL Twilio was told.
    pub url: String,
}

/// Everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Databases and the root key.
    pub data: PathBuf,
    /// File of the root key; `root.key` in the data folder when it is not said. Nodes that share a vault share it.
    pub root_key: Option<PathBuf>,
    /// List of erased calls, to which restored backups keep; `erased` in the data folder when it is not said. Best
    /// where the backups are.
    pub erased: Option<PathBuf>,
    /// Folder of the speech models.
    pub models: Option<PathBuf>,
    /// Folder of the scorecards, one TOML file each.
    pub scorecards: Option<PathBuf>,
    /// What this node does; with fewer than all, other nodes must do the rest.
    pub roles: BTreeSet<Role>,
    /// Seconds between two sweeps of what has expired.
    pub sweep_seconds: u64,
    pub listen: Listen,
    pub capacity: Capacity,
    pub recognisers: Recognisers,
    pub pipeline: PipelineSettings,
    pub limits: Limits,
    pub retention: Retention,
    /// The bus, instead of the embedded one.
    pub kafka: Option<KafkaSettings>,
    /// The vault, instead of the embedded one.
    pub scylla: Option<ScyllaSettings>,
    pub tenants: BTreeMap<TenantId, Tenant>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: home("XDG_DATA_HOME", ".local/share").join("sotto"),
            root_key: None,
            erased: None,
            models: None,
            scorecards: None,
            roles: BTreeSet::from([Role::Ingest, Role::Writer, Role::Board]),
            sweep_seconds: 60,
            listen: Listen::default(),
            capacity: Capacity::default(),
            recognisers: Recognisers::default(),
            pipeline: PipelineSettings::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            kafka: None,
            scylla: None,
            tenants: BTreeMap::new(),
        }
    }
}

/// An environment variable; an empty one counts as not set.
fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn home(variable: &str, otherwise: &str) -> PathBuf {
    match set(variable) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(otherwise),
    }
}

impl Config {
    /// Reads the file (none: all defaults), then the environment, and checks everything.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = match file {
            None => Self::default(),
            Some(file) => {
                let problem = |why: String| ConfigError(format!("configuration {}: {why}", file.display()));
                let text = fs::read_to_string(file).map_err(|error| problem(error.to_string()))?;
                toml::from_str(&text).map_err(|error| problem(error.to_string()))?
            }
        };
        config.read_environment()?;
        config.validate()?;
        Ok(config)
    }

    fn read_environment(&mut self) -> Result<(), ConfigError> {
        if let Some(folder) = set("SOTTO_DATA") {
            self.data = folder.into();
        }
        if let Some(folder) = set("SOTTO_MODELS") {
            self.models = Some(folder.into());
        }
        for (name, address) in
            [("SOTTO_LISTEN_CALLS", &mut self.listen.calls), ("SOTTO_LISTEN_API", &mut self.listen.api)]
        {
            if let Some(text) = set(name) {
                *address = text.to_string_lossy().parse().map_err(|_| {
                    ConfigError(format!("{name} must be an address and a port, such as 127.0.0.1:7300"))
                })?;
            }
        }
        let secret = |name| set(name).map(|text| text.to_string_lossy().into_owned());
        if let (Some(password), Some(sasl)) =
            (secret("SOTTO_KAFKA_PASSWORD"), self.kafka.as_mut().and_then(|kafka| kafka.sasl.as_mut()))
        {
            sasl.password = password;
        }
        if let (Some(password), Some(scylla)) = (secret("SOTTO_SCYLLA_PASSWORD"), &mut self.scylla) {
            scylla.password = Some(password);
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.pipeline.validate().map_err(|why| ConfigError(format!("pipeline.{why}")))?;
        self.limits.validate().map_err(ConfigError)?;
        self.retention.validate().map_err(ConfigError)?;
        if self.roles.is_empty() {
            return Err(ConfigError("roles is empty; give some of ingest, writer, board".to_owned()));
        }
        if self.roles.len() < Self::default().roles.len() && (self.kafka.is_none() || self.scylla.is_none()) {
            return Err(ConfigError(
                "roles: a node that does not do all needs [kafka] and [scylla], which it shares with the others"
                    .to_owned(),
            ));
        }
        if let Some(kafka) = &self.kafka {
            kafka.validate().map_err(|why| ConfigError(format!("kafka.{why}")))?;
        }
        if let Some(scylla) = &self.scylla {
            scylla.validate().map_err(|why| ConfigError(format!("scylla.{why}")))?;
        }
        for (tenant, settings) in &self.tenants {
            let problem = |why: &str| ConfigError(format!("tenants.{tenant}: {why}"));
            settings.retention.over(&self.retention).validate().map_err(|why| problem(&why))?;
            if settings.own_keyspace && self.scylla.is_none() {
                return Err(problem("own_keyspace needs [scylla]; without it every tenant is in the same file"));
            }
            let Some(twilio) = &settings.twilio else { continue };
            if twilio.auth_token.trim().is_empty() {
                return Err(problem("twilio.auth_token is empty; give the account's auth token"));
            }
            if !twilio.url.starts_with("wss://") {
                return Err(problem("twilio.url must be the wss:// address that Twilio was told"));
            }
        }
        let Listen { calls, api, tls_certificate, tls_key, allow_plaintext } = &self.listen;
        if tls_certificate.is_some() != tls_key.is_some() {
            return Err(ConfigError("listen: give tls_certificate and tls_key together".to_owned()));
        }
        let open = [calls, api].into_iter().find(|address| !address.ip().is_loopback());
        if let (Some(address), None, false) = (open, tls_certificate, allow_plaintext) {
            return Err(ConfigError(format!(
                "listen: {address} can be reached from other machines, so it needs tls_certificate and tls_key \
                 (or allow_plaintext = true behind a proxy that ends TLS)"
            )));
        }
        if self.capacity.resume_seconds == 0 {
            return Err(ConfigError("capacity.resume_seconds must be at least 1".to_owned()));
        }
        if !(1.0..).contains(&self.capacity.slowest_partials) {
            return Err(ConfigError("capacity.slowest_partials must be at least 1 (second)".to_owned()));
        }
        let zero = self.capacity.calls == 0 || self.capacity.calls_per_tenant == 0 || self.capacity.connections == 0;
        if zero || self.sweep_seconds == 0 {
            return Err(ConfigError("capacity and sweep_seconds must be at least 1".to_owned()));
        }
        Ok(())
    }

    /// The folder of the models: the setting, or where `models/fetch` puts them.
    pub fn models(&self) -> PathBuf {
        self.models.clone().unwrap_or_else(|| {
            let cache = env::var_os("SOTTO_CACHE")
                .map_or_else(|| home("XDG_CACHE_HOME", ".cache").join("sotto"), PathBuf::from);
            cache.join("models/moonshine-en-7")
        })
    }

    /// Whether this node does that.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Does only these.
    pub fn with_roles(mut self, roles: &[Role]) -> Result<Self, ConfigError> {
        if !roles.is_empty() {
            self.roles = roles.iter().copied().collect();
            self.validate()?;
        }
        Ok(self)
    }

    /// The file of the root key.
    pub fn root_key(&self) -> PathBuf {
        self.root_key.clone().unwrap_or_else(|| self.data.join("root.key"))
    }

    /// The list of erased calls.
    pub fn erased(&self) -> PathBuf {
        self.erased.clone().unwrap_or_else(|| self.data.join(ERASED))
    }

    /// ScyllaDB, and which tenants have a keyspace of their own there.
    pub fn scylla(&self) -> Option<ScyllaSettings> {
        let mut scylla = self.scylla.clone()?;
        let own = self.tenants.iter().filter(|(_, settings)| settings.own_keyspace);
        scylla.own_keyspaces = own.map(|(tenant, _)| tenant.clone()).collect();
        Some(scylla)
    }

    /// Retention of every tenant.
    pub fn policies(&self) -> RetentionPolicies {
        let own = |(tenant, settings): (&TenantId, &Tenant)| (tenant.clone(), settings.retention.over(&self.retention));
        RetentionPolicies { default: self.retention.clone(), tenants: self.tenants.iter().map(own).collect() }
    }

    /// The pipeline of tenants that have settings of their own.
    pub fn pipelines(&self) -> BTreeMap<TenantId, PipelineSettings> {
        let own = |(tenant, settings): (&TenantId, &Tenant)| {
            let redaction = settings.redaction.clone()?;
            Some((tenant.clone(), PipelineSettings { redaction, ..self.pipeline.clone() }))
        };
        self.tenants.iter().filter_map(own).collect()
    }

    /// Folders of scorecards: everybody's, and those of tenants that have their own.
    pub fn scorecard_folders(&self) -> ScorecardFolders {
        let own = |(tenant, settings): (&TenantId, &Tenant)| Some((tenant.clone(), settings.scorecards.clone()?));
        ScorecardFolders { default: self.scorecards.clone(), tenants: self.tenants.iter().filter_map(own).collect() }
    }

    /// Whether browsers reach the API over TLS.
    pub fn secure_cookies(&self) -> bool {
        self.listen.tls_certificate.is_some() || self.listen.allow_plaintext
    }

    /// Threads for speech.
    pub fn speech_threads(&self) -> usize {
        match self.capacity.speech_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// As TOML, secrets masked.
    pub fn show(&self) -> Result<String, ConfigError> {
        let mut shown = self.clone();
        for twilio in shown.tenants.values_mut().filter_map(|tenant| tenant.twilio.as_mut()) {
            "********".clone_into(&mut twilio.auth_token);
        }
        let sasl = shown.kafka.as_mut().and_then(|kafka| kafka.sasl.as_mut()).map(|sasl| &mut sasl.password);
        let scylla = shown.scylla.as_mut().and_then(|scylla| scylla.password.as_mut());
        for password in sasl.into_iter().chain(scylla) {
            "********".clone_into(password);
        }
        toml::to_string_pretty(&shown).map_err(|error| ConfigError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn says_what_would_be_right() {
        for (text, wanted) in [
            ("[listen]\ncalls = \"0.0.0.0:7300\"", "tls_certificate"),
            ("[limits]\nidle_seconds = 0", "between 1 and 3600"),
            ("[retention]\npersonal_seconds = 99999999", "30 days"),
            ("[pipeline.partials]\ninterval = 9.0", "between 0.1 and 5"),
            ("nonsense = 1", "unknown field"),
            ("[tenants.a.twilio]\nauth_token = \" \"\nurl = \"wss://a/x\"", "auth_token is empty"),
            ("[tenants.a.twilio]\nauth_token = \"x\"\nurl = \"https://a/x\"", "wss://"),
            ("[tenants.a.retention]\npersonal_seconds = 99999999", "tenants.a"),
            ("roles = []", "some of ingest"),
            ("roles = [\"board\"]", "[kafka] and [scylla]"),
            ("[kafka]", "kafka.brokers"),
            ("[scylla]\nnodes = []", "scylla.nodes"),
            ("[tenants.a]\nown_keyspace = true", "needs [scylla]"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn secrets_are_masked_when_shown() {
        let config = check(
            "[kafka]\nbrokers = \"a:1\"\ntls.enabled = true\n\
             sasl = { mechanism = \"PLAIN\", username = \"a\", password = \"hush\" }\n\
             [scylla]\nnodes = [\"a:1\"]\nusername = \"a\"\npassword = \"hush\"\n\
             [tenants.acme.twilio]\nauth_token = \"hush\"\nurl = \"wss://a.example/x\"",
        )
        .unwrap();
        let shown = config.show().unwrap();
        assert!(!shown.contains("hush") && shown.contains("********"));
    }

    #[test]
    fn mh6_a_tenant_changes_only_what_it_names() {
        let config = check("[retention]\ntranscript_seconds = 60\n[tenants.a.retention]\nscore_seconds = 7").unwrap();
        let policy = config.policies().of(&"a".parse().unwrap()).clone();
        assert_eq!((policy.transcript_seconds, policy.score_seconds), (60, 7));
    }
}
