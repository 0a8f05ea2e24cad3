//! Scorecards from folders of TOML files: checked on load, taken in anew when they change. Calls on air keep theirs.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use prometheus::{IntCounter, IntGauge, Registry};
use sotto_events::{Scorecard, TenantId};

use crate::failure::{Failure, failure};

const MOST_FILES: usize = 200;
const LARGEST_FILE: u64 = 256 * 1024;
/// How often the folders are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where scorecards are.
#[derive(Debug, Clone, Default)]
pub struct ScorecardFolders {
    pub default: Option<PathBuf>,
    pub tenants: BTreeMap<TenantId, PathBuf>,
}

/// The scorecards of one folder.
#[derive(Debug, Clone, Default)]
struct Deck {
    by_queue: HashMap<String, Arc<Scorecard>>,
    otherwise: Option<Arc<Scorecard>>,
}

#[derive(Debug, Default)]
struct Decks {
    default: Deck,
    tenants: BTreeMap<TenantId, Deck>,
}

/// What a folder looked like: files with their times and sizes.
type Look = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// The scorecards in force.
pub struct Scorecards {
    folders: ScorecardFolders,
    decks: RwLock<Decks>,
    loaded: IntGauge,
    rejected: IntCounter,
}

impl Scorecards {
    /// Reads every folder.
    ///
    /// # Errors
    /// The first file that is wrong, and how.
    pub fn load(folders: ScorecardFolders, registry: &Registry) -> Result<Self, Failure> {
        let decks = read_all(&folders)?;
        let loaded = IntGauge::new("sotto_scorecards", "Scorecards in force.")?;
        let rejected = IntCounter::new("sotto_scorecards_rejected_total", "Changed scorecards that were wrong.")?;
        registry.register(Box::new(loaded.clone()))?;
        registry.register(Box::new(rejected.clone()))?;
        let scorecards = Self { folders, decks: RwLock::default(), loaded, rejected };
        scorecards.put(decks);
        Ok(scorecards)
    }

    fn put(&self, decks: Decks) {
        let count = |deck: &Deck| deck.by_queue.len() + usize::from(deck.otherwise.is_some());
        self.loaded.set((count(&decks.default) + decks.tenants.values().map(count).sum::<usize>()) as i64);
        *self.decks.write().unwrap_or_else(PoisonError::into_inner) = decks;
    }

    /// What a new call is judged by: the scorecard of its queue, else the one without queues.
    pub fn of(&self, tenant: &TenantId, queue: Option<&str>) -> Option<Arc<Scorecard>> {
        let decks = self.decks.read().unwrap_or_else(PoisonError::into_inner);
        let deck = decks.tenants.get(tenant).unwrap_or(&decks.default);
        queue.and_then(|queue| deck.by_queue.get(queue)).or(deck.otherwise.as_ref()).cloned()
    }

    /// Takes in what changes, for ever. A change that is wrong is said and leaves what was in force.
    pub async fn follow(self: Arc<Self>) {
        let mut seen = self.look();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.look();
            if now == seen {
                continue;
            }
            seen = now;
            match read_all(&self.folders) {
                Ok(decks) => {
                    self.put(decks);
                    tracing::info!("scorecards changed; new calls begin with them");
                }
                Err(failure) => {
                    self.rejected.inc();
                    tracing::error!(why = failure.message, "scorecards changed but are wrong; the old ones stay");
                }
            }
        }
    }

    fn look(&self) -> Look {
        let mut look = Look::new();
        for folder in self.folders.default.iter().chain(self.folders.tenants.values()) {
            for file in files(folder).unwrap_or_default() {
                let metadata = fs::metadata(&file).ok();
                let size = metadata.as_ref().map_or(0, fs::Metadata::len);
                look.push((file, metadata.and_then(|metadata| metadata.modified().ok()), size));
            }
        }
        look
    }
}

fn read_all(folders: &ScorecardFolders) -> Result<Decks, Failure> {
    let default = folders.default.as_deref().map(read_folder).transpose()?.unwrap_or_default();
    let own = |(tenant, folder): (&TenantId, &PathBuf)| Ok((tenant.clone(), read_folder(folder)?));
    Ok(Decks { default, tenants: folders.tenants.iter().map(own).collect::<Result<_, Failure>>()? })
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // what editors leave beside a file is none
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_folder(folder: &Path) -> Result<Deck, Failure> {
    let files = files(folder)
        .map_err(|error| failure(format!("the folder of scorecards {} cannot be read: {error}", folder.display())))?;
    if files.len() > MOST_FILES {
        return Err(failure(format!("{} holds more than {MOST_FILES} scorecards", folder.display())));
    }
    let mut deck = Deck::default();
    for file in files {
        let card = Arc::new(read(&file)?);
        let taken = |what: &str| failure(format!("scorecard {}: another one is for {what} too", file.display()));
        if card.queues.is_empty() && deck.otherwise.replace(Arc::clone(&card)).is_some() {
            return Err(taken("all other calls (no queues)"));
        }
        for queue in &card.queues {
            if deck.by_queue.insert(queue.clone(), Arc::clone(&card)).is_some() {
                return Err(taken(&format!("the queue {queue:?}")));
            }
        }
    }
    Ok(deck)
}

/// One scorecard.
///
/// # Errors
/// Where it is wrong, and what would be right.
pub fn read(file: &Path) -> Result<Scorecard, Failure> {
    let problem = |why: String| failure(format!("scorecard {}: {why}", file.display()));
    let metadata = fs::metadata(file).map_err(|error| problem(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return Err(problem(format!("is no file of at most {LARGEST_FILE} bytes")));
    }
    let text = fs::read_to_string(file).map_err(|error| problem(error.to_string()))?;
    let wrong = |error: toml::de::Error| problem(error.to_string().trim_end().to_owned());
    // a name that is not known is a mistake here; in a kept call it may be of a newer Sotto
    let mut unknown = Vec::new();
    let reader = toml::Deserializer::parse(&text).map_err(wrong)?;
    let card: Scorecard = serde_ignored::deserialize(reader, |path| unknown.push(path.to_string())).map_err(wrong)?;
    if let Some(name) = unknown.first() {
        return Err(problem(format!("{name} is no setting; docs/scores.md lists them")));
    }
    card.validate().map_err(|error| problem(error.to_string()))?;
    Ok(card)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, queues: &str) {
        let text = format!("name = \"{name}\"\nversion = \"1\"\nqueues = [{queues}]\n");
        fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }

    #[test]
    fn a_call_gets_the_scorecard_of_its_queue_or_the_one_for_all_others() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "cards", "\"cards\", \"lost\"");
        write(folder.path(), "others", "");
        let folders = ScorecardFolders { default: Some(folder.path().to_owned()), ..ScorecardFolders::default() };
        let scorecards = Scorecards::load(folders, &Registry::new()).unwrap();
        let tenant: TenantId = "acme".parse().unwrap();
        let name = |queue| scorecards.of(&tenant, queue).map(|card| card.name.clone());
        assert_eq!(name(Some("lost")).as_deref(), Some("cards"));
        assert_eq!(name(Some("loans")).as_deref(), Some("others"));
        assert_eq!(name(None).as_deref(), Some("others"));
    }

    #[test]
    fn a_wrong_scorecard_says_its_file_and_what_would_be_right() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a", "\"cards\"");
        write(folder.path(), "b", "\"cards\"");
        assert!(read_folder(folder.path()).unwrap_err().message.contains("the queue \"cards\""));
        fs::write(folder.path().join("b.toml"), "name = \"b\"\nversion = \"1\"\n[[script]]\nid = \"x\"").unwrap();
        let message = read_folder(folder.path()).unwrap_err().message;
        assert!(message.contains("b.toml") && message.contains("missing field `title`"), "{message}");
        fs::write(folder.path().join("b.toml"), "name = \"b\"\nversion = \"1\"\n[pace]\nword = 3").unwrap();
        assert!(read_folder(folder.path()).unwrap_err().message.contains("pace.word is no setting"));
    }
}
