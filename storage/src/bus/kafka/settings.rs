//! Where Kafka is, and how the topics are to be.

use std::path::PathBuf;

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

const DAY_HOURS: u64 = 24;

/// `[kafka]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// `host:port` of some brokers, with commas between.
    pub brokers: String,
    /// What the names of topics and groups begin with.
    pub prefix: String,
    /// Partitions of topics that are made. Those of a topic that is there stay as they are.
    pub partitions: u32,
    /// Copies of each partition, of topics that are made.
    pub replicas: u32,
    /// Makes missing topics; otherwise they must be there.
    pub create_topics: bool,
    /// How long the record topic keeps what is written to it, at least. Rows are written from there, so it is the
    /// longest time that the vault may be away.
    pub record_retention_hours: u64,
    /// How long an append waits for the brokers before it goes to the spool. Milliseconds.
    pub append_timeout_ms: u64,
    /// Most bytes of sealed records kept on this machine while Kafka is away.
    pub spool_megabytes: u64,
    pub tls: Tls,
    pub sasl: Option<Sasl>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            prefix: "sotto".to_owned(),
            partitions: 12,
            replicas: 3,
            create_topics: true,
            record_retention_hours: 3 * DAY_HOURS,
            append_timeout_ms: 2_000,
            spool_megabytes: 1_024,
            tls: Tls::default(),
            sasl: None,
        }
    }
}

/// Encryption on the way to the brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub enabled: bool,
    /// PEM file of the authority that signed the brokers' certificates; none: those the system trusts.
    pub authority: Option<PathBuf>,
    /// PEM files to identify this client by.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// Who the client says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    pub mechanism: Mechanism,
    pub username: String,
    pub password: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl KafkaSettings {
    /// Says what is out of range.
    ///
    /// # Errors
    /// A sentence for the person who wrote the setting.
    pub fn validate(&self) -> Result<(), String> {
        if self.brokers.trim().is_empty() {
            return Err("brokers is empty; give host:port of at least one broker".to_owned());
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.prefix.is_empty() || self.prefix.len() > 100 || !self.prefix.chars().all(legal) {
            return Err("prefix must be 1 to 100 letters, digits, '-', '_' or '.'".to_owned());
        }
        for (name, value, range) in [
            ("partitions", u64::from(self.partitions), 1..=10_000),
            ("replicas", u64::from(self.replicas), 1..=10),
            ("record_retention_hours", self.record_retention_hours, 1..=10 * DAY_HOURS),
            ("append_timeout_ms", self.append_timeout_ms, 100..=60_000),
            ("spool_megabytes", self.spool_megabytes, 1..=1_000_000),
        ] {
            if !range.contains(&value) {
                return Err(format!("{name} is {value}, must be between {} and {}", range.start(), range.end()));
            }
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err("tls: give certificate and key together".to_owned());
        }
        if self.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == Mechanism::Plain) && !self.tls.enabled {
            return Err("sasl: PLAIN sends the password as it is, so it needs tls.enabled = true".to_owned());
        }
        Ok(())
    }

    /// The topic of what is kept.
    pub fn record_topic(&self) -> String {
        format!("{}.records", self.prefix)
    }

    /// The topic of what is only of the moment.
    pub fn live_topic(&self) -> String {
        format!("{}.live", self.prefix)
    }

    /// The group of a consumer.
    pub(super) fn group(&self, consumer: &str) -> String {
        format!("{}.{consumer}", self.prefix)
    }

    /// What every client is made with.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "sotto")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000");
        let protocol = match (self.tls.enabled, &self.sasl) {
            (false, None) => "plaintext",
            (true, None) => "ssl",
            (false, Some(_)) => "sasl_plaintext",
            (true, Some(_)) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        let files = [
            ("ssl.ca.location", &self.tls.authority),
            ("ssl.certificate.location", &self.tls.certificate),
            ("ssl.key.location", &self.tls.key),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                client.set(name, file.to_string_lossy());
            }
        }
        if let Some(sasl) = &self.sasl {
            client
                .set("sasl.mechanisms", sasl.mechanism.name())
                .set("sasl.username", &sasl.username)
                .set("sasl.password", &sasl.password);
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_would_be_right() {
        let good = KafkaSettings { brokers: "a:9092".to_owned(), ..KafkaSettings::default() };
        assert_eq!(good.validate(), Ok(()));
        let sasl = Sasl { mechanism: Mechanism::Plain, username: "sotto".to_owned(), password: "hush".to_owned() };
        for (bad, wanted) in [
            (KafkaSettings { brokers: " ".to_owned(), ..good.clone() }, "at least one broker"),
            (KafkaSettings { prefix: "a b".to_owned(), ..good.clone() }, "prefix"),
            (KafkaSettings { partitions: 0, ..good.clone() }, "between 1 and 10000"),
            (KafkaSettings { sasl: Some(sasl), ..good.clone() }, "tls.enabled"),
            (KafkaSettings { record_retention_hours: 999, ..good }, "between 1 and 240"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
