//! `sotto-load`: live calls over real sockets, open loop, checked and measured.
//!
//! From audio to a report: [`audio`] reads recordings once, [`tape`] lays them out as two-sided calls, [`schedule`]
//! says when calls come and how long they last, [`wheel`] wakes all calls that have a frame due, [`native`] and
//! [`twilio`] are the calls, [`check`] and [`words`] judge what comes back, [`shown`] says when words came, [`figures`]
//! keeps the times, [`server`] looks at the other side, [`run`] joins them. [`objective`] is what must hold,
//! [`capacity`] searches how many calls keep it, [`report`], [`html`] and [`compare`] say what came out.
//!
//! **Open loop.** When a call comes and when a frame of its audio is sent follow from the schedule alone. A server
//! that is slow, refuses or does not read changes nothing of it: what could not be sent is sent later, and every
//! latency counts from when a thing was due, not from when it was done.

pub mod audio;
pub mod call;
pub mod capacity;
pub mod check;
pub mod command;
pub mod compare;
pub mod figures;
pub mod follow;
pub mod html;
pub mod native;
pub mod objective;
pub mod options;
pub mod pace;
pub mod plot;
pub mod report;
pub mod run;
pub mod schedule;
pub mod scrape;
pub mod server;
pub mod shown;
pub mod sink;
#[cfg(test)]
mod system;
pub mod tape;
pub mod twilio;
pub mod view;
pub mod wheel;
pub mod words;

pub use crate::bench::Failure;
