//! `sotto serve`: puts the rooms together, listens, drains.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router, middleware::from_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use prometheus::Registry;
use sotto_access::{ApiKeys, Users, tls};
use sotto_dashboards::{Api, DashboardMetrics, Hub, Places};
use sotto_events::Clock;
use sotto_ingest::{ConnectionPlace, IngestMetrics, TwilioAccount};
use sotto_pipeline::{Engine, EngineSettings, Models, PipelineMetrics};
use sotto_storage::{
    Reader, Recorder, StorageMetrics,
    bus::{Bus, embedded::EmbeddedBus},
    clock::SystemClock,
    keys::{FileRoot, KeyRing},
    sweeper::Sweeper,
    vault::{Vault, embedded::EmbeddedVault},
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
    config::Config,
    failure::{Failure, failure},
    scorecards::Scorecards,
};

/// Until the TLS handshake and the head of a request must be there.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A running server.
pub struct Server {
    pub calls_address: std::net::SocketAddr,
    pub api_address: std::net::SocketAddr,
    registry: CallRegistry,
    writer: Arc<Writer>,
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

impl Server {
    /// Opens everything, then listens.
    pub async fn start(config: &Config) -> Result<Self, Failure> {
        let registry = Registry::new();
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process))?;
        let acceptor = match (&config.listen.tls_certificate, &config.listen.tls_key) {
            (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
            _ => None,
        };
        let keys = Arc::new(open_keys(config)?);
        let users = Arc::new(open_users(config)?);
        let scorecards = Arc::new(Scorecards::load(config.scorecard_folders(), &registry)?);
        tokio::spawn(Arc::clone(&scorecards).follow());
        let storage_metrics = StorageMetrics::new(&registry)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::open(&config.data.join("bus.db"), &storage_metrics).await?);
        let vault: Arc<dyn Vault> = Arc::new(EmbeddedVault::open(&config.data.join("vault.db"), &storage_metrics)?);
        // a root key that went missing is never made anew over data it cannot open
        let root = FileRoot::open(&config.data.join("root.key"), !vault.has_keys().await?)?;
        let ring = Arc::new(KeyRing::new(Box::new(root), Arc::clone(&vault)));
        let engine = start_engine(config, PipelineMetrics::new(&registry)?)?;
        let writer = Writer::new(Arc::clone(&bus), Arc::clone(&vault), storage_metrics.clone());
        let sweeper = Sweeper {
            bus: Arc::clone(&bus),
            vault: Arc::clone(&vault),
            clock: Arc::clone(&clock),
            metrics: storage_metrics.clone(),
        };
        let recorder = Recorder::new(
            Arc::clone(&bus),
            Arc::clone(&vault),
            Arc::clone(&ring),
            Arc::clone(&clock),
            config.policies(),
            storage_metrics.clone(),
        );
        let calls = CallRegistry::new(Parts {
            engine,
            recorder,
            writer: Arc::clone(&writer),
            keys: Arc::clone(&keys),
            clock: Arc::clone(&clock),
            pipeline: config.pipeline.clone(),
            pipelines: config.pipelines(),
            capacity: config.capacity.clone(),
            twilio: twilio(config),
            scorecards,
            metrics: CallMetrics::new(&registry)?,
        });
        let ingest =
            sotto_ingest::router(Arc::new(calls.clone()), config.limits.clone(), IngestMetrics::new(&registry)?);
        let reader = Reader::new(bus, Arc::clone(&vault), ring, Arc::clone(&clock), storage_metrics);
        let fed = calls.clone();
        let on_air = Arc::new(move |tenant: &_, call: &_| fed.on_air(tenant, call));
        let hub = Hub::new(reader.clone(), Arc::clone(&users), Arc::clone(&clock), on_air);
        let ready = calls.clone();
        let api = Api {
            reader,
            keys,
            users,
            clock,
            policies: config.policies(),
            hub: Arc::clone(&hub),
            metrics: DashboardMetrics::new(&registry)?,
            secure_cookies: config.secure_cookies(),
            places: Places::default(),
        };
        // calls come in there too, so that a page can send one to where it came from
        let api = sotto_dashboards::router(Arc::new(api))
            .merge(ingest.clone())
            .merge(sotto_dashboards::pages())
            .merge(sotto_dashboards::probes(registry, Arc::new(move || ready.ready())))
            .layer(from_fn(sotto_dashboards::guard));

        let calls_door = bind(config.listen.calls, "listen.calls").await?;
        let api_door = bind(config.listen.api, "listen.api").await?;
        let ingest = ingest.layer(from_fn(sotto_dashboards::guard));
        let (calls_address, api_address) = (address(&calls_door)?, address(&api_door)?);
        tokio::spawn(Arc::clone(&writer).run());
        tokio::spawn(sweeper.run(Duration::from_secs(config.sweep_seconds)));
        writer.catch_up().await?;
        calls.adopt(vault.open_calls().await?);
        tokio::spawn(hub.run());
        let connections = config.capacity.connections;
        tokio::spawn(accept(calls_door, acceptor.clone(), ingest, connections));
        tokio::spawn(accept(api_door, acceptor, api, connections));
        let drain_patience = Duration::from_secs(config.limits.drain_seconds) + Duration::from_secs(5);
        Ok(Self { calls_address, api_address, registry: calls, writer, drain_patience })
    }

    /// Takes no new calls, lets running utterances end, tells clients to reconnect, and waits until all is durable.
    pub async fn drain(self) -> Result<(), Failure> {
        self.registry.drain();
        let gone = async {
            while self.registry.count() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(self.drain_patience, gone).await.is_err() {
            tracing::warn!(calls = self.registry.count(), "some calls did not end in time; they can be resumed");
        }
        self.writer.catch_up().await?;
        Ok(())
    }
}

/// Loads the models and starts the speech threads.
pub fn start_engine(config: &Config, metrics: PipelineMetrics) -> Result<Engine, Failure> {
    let models = Models::open(&config.models())?;
    let settings = EngineSettings {
        threads: config.speech_threads(),
        max_partials: config.capacity.calls * 4,
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
