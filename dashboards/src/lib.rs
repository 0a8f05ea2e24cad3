//! What people and programs read: the pages, the HTTP API over what is kept, live streams, exports, metrics and probes.

mod api;
mod board;
mod caller;
mod calls;
mod export;
mod hub;
mod live;
mod mean;
mod metrics;
mod newest;
mod outcome;
mod overlay;
mod people;
mod probes;
mod problem;
mod search;
mod sse;
mod trends;
mod view;
mod web;

pub use api::{Api, Places, guard, router};
pub use export::{Export, Line, render};
pub use hub::{Hub, OnAir};
pub use metrics::DashboardMetrics;
pub use probes::probes;
pub use web::pages;
