//! `sotto serve`: puts the rooms together, listens, drains.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router, middleware::from_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use prometheus::{Registry, process_collector::ProcessCollector};
use sotto_access::{ApiKeys, Users, tls};
use sotto_dashboards::{Api, DashboardMetrics, Hub, OnAir, Places};
use sotto_events::Clock;
use sotto_ingest::{ConnectionPlace, IngestMetrics, TwilioAccount};
use sotto_pipeline::{Engine, EngineSettings, Models, PipelineMetrics};
use sotto_storage::{
    Reader, Recorder, StorageMetrics,
    backup::Erasures,
    bus::{Bus, kafka::SharedTable},
    clock::SystemClock,
    keys::{FileRoot, KeyRing},
    sweeper::Sweeper,
    vault::Vault,
    writer::Writer,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use crate::{
    calls::{CallMetrics, CallRegistry, Parts},
    config::{Config, Role},
    engines,
    failure::{Failure, failure},
    presence,
    replica::{self, Stores},
    scorecards::Scorecards,
};

/// Until the TLS handshake and the head of a request must be there.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A running server.
pub struct Server {
    /// None without the role that takes calls.
    pub calls_address: Option<std::net::SocketAddr>,
    pub api_address: std::net::SocketAddr,
    calls: Option<CallRegistry>,
    bus: Arc<dyn Bus>,
    /// None when rows are others' as well.
    writer: Option<Arc<Writer>>,
    drain_patience: Duration,
}

/// Opens `api_keys.db` in the data folder, which is made when missing.
pub fn open_keys(config: &Config) -> Result<ApiKeys, Failure> {
    make_data(config)?;
    Ok(ApiKeys::open(&config.data.join("api_keys.db"))?)
}

/// Opens `users.db` in the data folder, which is made when missing.
pub fn open_users(config: &Config) -> Result<Users, Failure> {
    make_data(config)?;
    Ok(Users::open(&config.data.join("users.db"))?)
}

fn make_data(config: &Config) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = &config.data;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failure(format!("the data folder {} cannot be made: {error}", folder.display())))
}

/// What every role works with.
struct Store {
    registry: Registry,
    clock: Arc<dyn Clock>,
    bus: Arc<dyn Bus>,
    vault: Arc<dyn Vault>,
    ring: Arc<KeyRing>,
    keys: Arc<ApiKeys>,
    users: Arc<Users>,
    metrics: StorageMetrics,
}

impl Store {
    async fn open(config: &Config) -> Result<Self, Failure> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let keys = Arc::new(open_keys(config)?);
        let users = Arc::new(open_users(config)?);
        let metrics = StorageMetrics::new(&registry)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bus = engines::bus(config, &metrics).await?;
        let vault = engines::vault(config, &clock, &metrics).await?;
        // a root key that went missing is never made anew over data it cannot open
        let root = FileRoot::open(&config.root_key(), !vault.has_keys().await?)?;
        let ring = Arc::new(KeyRing::new(Box::new(root), Arc::clone(&vault)));
        // nodes that share no vault share no key either
        if let (Some(settings), Some(_)) = (&config.kafka, &config.scylla) {
            let table = SharedTable::open(settings, "access", ring.nodes_key().await?).await?;
            let stores = Stores { keys: Arc::clone(&keys), users: Arc::clone(&users) };
            replica::start(stores, table).await?;
        }
        Ok(Self { registry, clock, bus, vault, ring, keys, users, metrics })
    }

    fn recorder(&self, config: &Config) -> Recorder {
        let (bus, vault, ring) = (Arc::clone(&self.bus), Arc::clone(&self.vault), Arc::clone(&self.ring));
        Recorder::new(bus, vault, ring, Arc::clone(&self.clock), config.policies(), self.metrics.clone())
    }

    fn reader(&self, config: &Config) -> Result<Reader, Failure> {
        let (bus, vault, ring) = (Arc::clone(&self.bus), Arc::clone(&self.vault), Arc::clone(&self.ring));
        let reader = Reader::new(bus, vault, ring, Arc::clone(&self.clock), self.metrics.clone());
        Ok(reader.noting(Erasures::open(&config.erased())?))
    }

    /// The calls of this node, and the speech threads for them.
    fn calls(&self, config: &Config) -> Result<CallRegistry, Failure> {
        let scorecards = Arc::new(Scorecards::load(config.scorecard_folders(), &self.registry)?);
        tokio::spawn(Arc::clone(&scorecards).follow());
        CallRegistry::new(Parts {
            engine: start_engine(config, PipelineMetrics::new(&self.registry)?)?,
            recorder: self.recorder(config),
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(&self.clock),
            pipeline: config.pipeline.clone(),
            pipelines: config.pipelines(),
            capacity: config.capacity.clone(),
            twilio: twilio(config),
            scorecards,
            metrics: CallMetrics::new(&self.registry)?,
        })
    }

    /// The API and its pages, and the hub that feeds them.
    fn board(&self, config: &Config, on_air: OnAir) -> Result<(Router, Arc<Hub>), Failure> {
        let reader = self.reader(config)?;
        let hub = Hub::new(reader.clone(), Arc::clone(&self.users), Arc::clone(&self.clock), on_air);
        let api = Api {
            reader,
            keys: Arc::clone(&self.keys),
            users: Arc::clone(&self.users),
            clock: Arc::clone(&self.clock),
            policies: config.policies(),
            hub: Arc::clone(&hub),
            metrics: DashboardMetrics::new(&self.registry)?,
            secure_cookies: config.secure_cookies(),
            places: Places::default(),
        };
        Ok((sotto_dashboards::router(Arc::new(api)).merge(sotto_dashboards::pages()), hub))
    }

    /// Fills the vault and sweeps it.
    fn write(&self, config: &Config) -> Arc<Writer> {
        let writer = Writer::new(Arc::clone(&self.bus), Arc::clone(&self.vault), self.metrics.clone());
        let sweeper = Sweeper {
            bus: Arc::clone(&self.bus),
            vault: Arc::clone(&self.vault),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
        };
        tokio::spawn(Arc::clone(&writer).run());
        tokio::spawn(Arc::clone(&writer).measure());
        tokio::spawn(sweeper.run(Duration::from_secs(config.sweep_seconds)));
        writer
    }
}

impl Server {
    /// Opens everything that its roles need, then listens.
    pub async fn start(config: &Config) -> Result<Self, Failure> {
        let acceptor = match (&config.listen.tls_certificate, &config.listen.tls_key) {
            (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
            _ => None,
        };
        let store = Store::open(config).await?;
        let shared = store.bus.is_shared();
        let calls = if config.has(Role::Ingest) { Some(store.calls(config)?) } else { None };
        let ready = calls.clone();
        let ready = Arc::new(move || ready.as_ref().is_none_or(CallRegistry::ready));
        let mut api = sotto_dashboards::probes(store.registry.clone(), ready);
        let mut ingest = None;
        if let Some(calls) = &calls {
            let metrics = IngestMetrics::new(&store.registry)?;
            let router = sotto_ingest::router(Arc::new(calls.clone()), config.limits.clone(), metrics);
            // calls come in there too, so that a page can send one to where it came from
            api = api.merge(router.clone());
            ingest = Some(router);
        }
        let mut hub = None;
        if config.has(Role::Board) {
            let on_air: OnAir = match calls.clone() {
                Some(calls) => Arc::new(move |tenant, call| calls.on_air(tenant, call)),
                None => presence::watch(&store.bus),
            };
            let (board, followed) = store.board(config, on_air)?;
            api = api.merge(board);
            hub = Some(followed);
        }

        let connections = config.capacity.connections;
        let api_door = bind(config.listen.api, "listen.api").await?;
        let api_address = address(&api_door)?;
        let calls_door = match &ingest {
            Some(_) => Some(bind(config.listen.calls, "listen.calls").await?),
            None => None,
        };
        let calls_address = calls_door.as_ref().map(address).transpose()?;
        let writer = config.has(Role::Writer).then(|| store.write(config));
        if let Some(writer) = writer.as_ref().filter(|_| !shared) {
            writer.catch_up().await?;
        }
        if let Some(calls) = &calls {
            calls.adopt(store.vault.open_calls().await?);
            if shared {
                tokio::spawn(calls.clone().keep_company());
            }
        }
        if let Some(hub) = hub {
            tokio::spawn(hub.run());
        }
        if let (Some(door), Some(ingest)) = (calls_door, ingest) {
            let ingest = ingest.layer(from_fn(sotto_dashboards::guard));
            tokio::spawn(accept(door, acceptor.clone(), ingest, connections));
        }
        tokio::spawn(accept(api_door, acceptor, api.layer(from_fn(sotto_dashboards::guard)), connections));
        let drain_patience = Duration::from_secs(config.limits.drain_seconds) + Duration::from_secs(5);
        // with other nodes, rows need not be there before this one goes
        let writer = writer.filter(|_| !shared);
        Ok(Self { calls_address, api_address, calls, bus: store.bus, writer, drain_patience })
    }

    /// Takes no new calls, lets running utterances end, tells clients to reconnect, and waits until all is durable.
    pub async fn drain(self) -> Result<(), Failure> {
        if let Some(calls) = &self.calls {
            calls.drain();
            let gone = async {
                while calls.count() > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if timeout(self.drain_patience, gone).await.is_err() {
                tracing::warn!(calls = calls.count(), "some calls did not end in time; they can be resumed");
            }
        }
        if let Some(writer) = &self.writer {
            writer.catch_up().await?;
        } else if timeout(self.drain_patience, self.bus.ends(None)).await.is_err() {
            tracing::warn!("events still wait for the bus; they follow when this node is started again");
        }
        Ok(())
    }
}

/// Loads the models and starts the speech threads.
pub fn start_engine(config: &Config, metrics: PipelineMetrics) -> Result<Engine, Failure> {
    let models = Models::open(&config.models())?;
    let settings = EngineSettings {
        threads: config.speech_threads(),
        max_partials: config.capacity.calls * 4,
        slowest_partials: config.capacity.slowest_partials,
        recognisers: config.recognisers.clone(),
    };
    Ok(Engine::start(&models, &settings, metrics)?)
}

fn twilio(config: &Config) -> std::collections::BTreeMap<String, TwilioAccount> {
    config
        .tenants
        .iter()
        .filter_map(|(tenant, settings)| {
            let twilio = settings.twilio.as_ref()?;
            let account = TwilioAccount {
                tenant: tenant.clone(),
                auth_token: twilio.auth_token.clone(),
                url: twilio.url.clone(),
            };
            Some((tenant.to_string(), account))
        })
        .collect()
}

async fn bind(address: std::net::SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        failure(format!("{setting}: cannot listen on {address} ({error}); choose another port or stop what uses it"))
    })
}

fn address(listener: &TcpListener) -> Result<std::net::SocketAddr, Failure> {
    listener.local_addr().map_err(|error| failure(error.to_string()))
}

async fn accept(listener: TcpListener, tls: Option<tls::TlsAcceptor>, router: Router, connections: usize) {
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, router) = (tls.clone(), router.clone());
        let router = router.layer(Extension(ConnectionPlace(Arc::new(place))));
        tokio::spawn(connection(stream, tls, router));
    }
}

async fn connection(stream: TcpStream, tls: Option<tls::TlsAcceptor>, router: Router) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    match tls {
        None => serve(stream, router).await,
        Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve(stream, router).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        },
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE);
    let service = TowerToHyperService::new(router);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection");
    }
}
