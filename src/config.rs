//! Configuration: one TOML file and a few environment variables, checked before anything starts. `docs/configuration.md`
//! lists every setting.

use std::{
    collections::BTreeMap,
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
use sotto_storage::{Retention, RetentionPolicies};

use crate::scorecards::ScorecardFolders;

/// What is wrong with a setting, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

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
    /// How long a call whose socket broke waits for its caller.
    pub resume_seconds: u64,
    /// Threads for speech; 0 for one a core.
    pub speech_threads: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { calls: 200, calls_per_tenant: 200, connections: 2_000, resume_seconds: 60, speech_threads: 0 }
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
    /// Folder of the speech models.
    pub models: Option<PathBuf>,
    /// Folder of the scorecards, one TOML file each.
    pub scorecards: Option<PathBuf>,
    /// Seconds between two sweeps of what has expired.
    pub sweep_seconds: u64,
    pub listen: Listen,
    pub capacity: Capacity,
    pub recognisers: Recognisers,
    pub pipeline: PipelineSettings,
    pub limits: Limits,
    pub retention: Retention,
    pub tenants: BTreeMap<TenantId, Tenant>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: home("XDG_DATA_HOME", ".local/share").join("sotto"),
            models: None,
            scorecards: None,
            sweep_seconds: 60,
            listen: Listen::default(),
            capacity: Capacity::default(),
            recognisers: Recognisers::default(),
            pipeline: PipelineSettings::default(),
            limits: Limits::default(),
            retention: Retention::default(),
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
        Ok(())
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.pipeline.validate().map_err(|why| ConfigError(format!("pipeline.{why}")))?;
        self.limits.validate().map_err(ConfigError)?;
        self.retention.validate().map_err(ConfigError)?;
        for (tenant, settings) in &self.tenants {
            let problem = |why: &str| ConfigError(format!("tenants.{tenant}: {why}"));
            settings.retention.over(&self.retention).validate().map_err(|why| problem(&why))?;
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
            cache.join("models/moonshine-en-4")
        })
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
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn secrets_are_masked_when_shown() {
        let config = check("[tenants.acme.twilio]\nauth_token = \"hush\"\nurl = \"wss://a.example/x\"").unwrap();
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
