//! What people and programs read: the HTTP API over what is kept, live events, exports, metrics and probes.

mod api;
mod export;
mod live;
mod probes;

pub use api::{Api, guard, router};
pub use export::{Export, Line, render};
pub use probes::probes;
