//! The door: calls come in over WebSockets, in the native protocol or a platform's dialect, and go to whoever
//! implements [`Calls`]. Nothing here knows models or databases.

pub mod codec;
pub mod door;
pub mod file;
pub mod limits;
pub mod metrics;
pub mod native;
pub mod opus;
pub mod port;
mod socket;
pub mod twilio;

pub use door::router;
pub use limits::Limits;
pub use metrics::IngestMetrics;
pub use port::{Calls, ConnectionPlace, OpenCall, OpenRequest, Refusal, Sender, TwilioAccount, Update};
