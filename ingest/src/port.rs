//! What the door needs from the rest of the house.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use sotto_events::{AudioFormat, CallEvent, CallId, CallInput, Partial, TenantId};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

/// A future behind a port.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who sends calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    pub tenant: TenantId,
    /// The agent whose calls these are, whatever their metadata say.
    pub agent: Option<String>,
}

/// A call that wants to begin or go on.
#[derive(Debug, Clone)]
pub struct OpenRequest {
    /// Whoever sends it.
    pub sender: Sender,
    pub call: CallId,
    pub dialect: &'static str,
    pub format: AudioFormat,
    /// Personal: sealed before it is kept, never logged.
    pub metadata: BTreeMap<String, String>,
    /// The caller knows that the call may have begun already.
    pub resume: bool,
}

/// What a call tells its caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    Partial(Partial),
    /// Durable when it is told.
    Event(CallEvent),
    /// Every channel is durable up to this sample.
    Ack {
        position: u64,
    },
    /// The call cannot go on; what was acknowledged is safe.
    Failed {
        code: &'static str,
    },
}

/// A place among the connections that may be open; whoever serves the connection holds it.
#[derive(Clone)]
pub struct ConnectionPlace(pub Arc<OwnedSemaphorePermit>);

/// A call that takes audio. Dropping `inputs` leaves the call open for someone to resume.
pub struct OpenCall {
    /// First sample that is wanted.
    pub position: u64,
    /// Last `seq` that is durable.
    pub seq: u64,
    pub inputs: mpsc::Sender<CallInput>,
    pub updates: mpsc::Receiver<Update>,
    /// True while someone speaks or a final is under way.
    pub busy: watch::Receiver<bool>,
}

/// Why a call is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no API key; send the header Authorization: Bearer <key>")]
    NoKey,
    #[error("the API key is unknown, revoked or expired")]
    UnknownKey,
    #[error("the API key may not send calls")]
    Purpose,
    #[error("the signature does not match; check the auth token and the public URL in the configuration")]
    Signature,
    #[error("a call with this id is on air; send \"resume\": true to take it over")]
    OnAir,
    #[error("the call with this id is over; use a new id")]
    Over,
    #[error("the call began with another encoding, rate or set of channels")]
    Format,
    #[error("the tenant has as many calls on air as it may have; try again later")]
    TenantFull,
    #[error("the server has as many calls on air as it can carry; try again later")]
    Full,
    #[error("the server is shutting down; try again")]
    Draining,
    #[error("the call cannot be kept now; try again")]
    Storage,
}

impl Refusal {
    /// Every reason, for metrics.
    pub const ALL: [Self; 11] = [
        Self::NoKey,
        Self::UnknownKey,
        Self::Purpose,
        Self::Signature,
        Self::OnAir,
        Self::Over,
        Self::Format,
        Self::TenantFull,
        Self::Full,
        Self::Draining,
        Self::Storage,
    ];

    /// The name in protocol and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::UnknownKey => "unknown_key",
            Self::Purpose => "forbidden",
            Self::Signature => "signature",
            Self::OnAir => "on_air",
            Self::Over => "over",
            Self::Format => "format_differs",
            Self::TenantFull => "tenant_full",
            Self::Full => "full",
            Self::Draining => "draining",
            Self::Storage => "storage",
        }
    }
}

/// A Twilio account that may send calls.
#[derive(Clone)]
pub struct TwilioAccount {
    pub tenant: TenantId,
    /// Signs the handshake.
    pub auth_token: String,
    /// The URL Twilio was told, for example `wss://sotto.example.com/v1/twilio/acme`.
    pub url: String,
}

/// Whoever takes the calls.
pub trait Calls: Send + Sync + 'static {
    /// Whose a key is that may send calls; `token_only` when it came in a URL.
    ///
    /// # Errors
    /// The refusal to tell.
    fn authenticate(&self, secret: &str, token_only: bool) -> Result<Sender, Refusal>;

    /// The account configured under this name.
    fn twilio(&self, account: &str) -> Option<TwilioAccount>;

    /// Whether another call would be taken now; `known` is a call that the caller wants to take up again, which has
    /// its place already.
    ///
    /// # Errors
    /// The refusal to tell.
    fn admit(&self, tenant: &TenantId, known: Option<&CallId>) -> Result<(), Refusal>;

    /// Begins or resumes a call.
    ///
    /// # Errors
    /// The refusal to tell.
    fn open(&self, request: OpenRequest) -> BoxFuture<'_, Result<OpenCall, Refusal>>;

    /// Turns true when the server begins to shut down.
    fn draining(&self) -> watch::Receiver<bool>;
}
