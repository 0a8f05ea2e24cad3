//! Keys and people of all nodes: what one node's stores change, the others take in.

use std::{sync::Arc, time::Duration};

use sotto_access::{AccessError, ApiKeys, Change, Replica, Users};
use sotto_storage::bus::kafka::{Entry, SharedTable};
use tokio::{sync::mpsc, time::sleep};

use crate::failure::{Failure, failure};

/// How soon others hear of a change.
const LOOK: Duration = Duration::from_millis(100);
/// Until the brokers are tried again.
const PAUSE: Duration = Duration::from_secs(2);
const BATCH: usize = 100;
/// Tables whose rows die by themselves soon: that one is gone need not be remembered for ever.
const BRIEF: [&str; 2] = ["sessions", "links"];

/// The stores of this node.
pub struct Stores {
    pub keys: Arc<ApiKeys>,
    pub users: Arc<Users>,
}

impl Stores {
    fn each(&self) -> [Replica<'_>; 2] {
        [self.keys.replica(), self.users.replica()]
    }

    fn apply(&self, value: &[u8]) {
        let Ok(change) = serde_json::from_slice::<Change>(value) else {
            tracing::error!("what another node shared is of a version that this one does not know");
            return;
        };
        for store in self.each().iter().filter(|store| store.knows(&change)) {
            if let Err(error) = store.apply(&change) {
                // a session of somebody who was removed meanwhile
                tracing::debug!(%error, table = change.table, "a change was not taken in");
            }
        }
    }
}

/// Takes in what is shared so far, then goes on with it in the background.
pub async fn start(stores: Stores, table: SharedTable) -> Result<(), Failure> {
    for store in stores.each() {
        store.share()?;
    }
    let mut entries = table.follow()?;
    loop {
        match entries.recv().await {
            Some(Entry::Value(value)) => stores.apply(&value),
            Some(Entry::Complete) => break,
            None => return Err(failure("what nodes share cannot be read from Kafka")),
        }
    }
    let stores = Arc::new(stores);
    tokio::spawn(follow(Arc::clone(&stores), entries));
    tokio::spawn(tell(stores, table));
    Ok(())
}

async fn follow(stores: Arc<Stores>, mut entries: mpsc::Receiver<Entry>) {
    while let Some(entry) = entries.recv().await {
        if let Entry::Value(value) = entry {
            stores.apply(&value);
        }
    }
}

async fn tell(stores: Arc<Stores>, table: SharedTable) {
    loop {
        sleep(LOOK).await;
        for store in 0..stores.each().len() {
            if let Err(error) = tell_store(&stores, store, &table).await {
                tracing::warn!(error = error.message, "keys and people cannot be shared now; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn tell_store(stores: &Stores, store: usize, table: &SharedTable) -> Result<(), Failure> {
    loop {
        let untold: Result<_, AccessError> = stores.each()[store].untold(BATCH);
        let Some((last, changes)) = untold? else { return Ok(()) };
        for change in &changes {
            let brief = change.row.is_none() && BRIEF.contains(&change.table.as_str());
            let value = serde_json::to_vec(change)?;
            let key = format!("{}/{}", change.table, change.id);
            // brief: whoever follows now must hear of it all the same
            table.put(&key, Some(&value)).await?;
            if brief {
                table.put(&key, None).await?;
            }
        }
        stores.each()[store].told(last)?;
    }
}
