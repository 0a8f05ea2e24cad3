//! The other side of a run: the server's metrics, its process when it is on this machine, and our own process beside it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use procfs::{
    net::TcpState,
    page_size,
    process::{FDTarget, Process, all_processes},
    ticks_per_second,
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Mutex,
    time::{MissedTickBehavior, interval},
};

use super::scrape::Scrape;

/// How often both are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// So many looks are kept; when there are more, every second one is dropped and half as many are taken.
const SAMPLES: usize = 600;

/// One look.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sample {
    /// From the start of the run.
    pub seconds: f64,
    pub calls: usize,
    /// Cores used since the sample before.
    pub load_cores: Option<f64>,
    pub server_cores: Option<f64>,
    pub server_memory_bytes: Option<u64>,
    /// What the server itself says.
    pub server_calls: Option<f64>,
}

/// Where to look.
#[derive(Clone)]
pub struct Watched {
    pub http: reqwest::Client,
    pub metrics: Option<String>,
    pub pid: Option<i32>,
}

/// CPU seconds and bytes of memory of a process.
pub fn process(pid: i32) -> Option<(f64, u64)> {
    let stat = Process::new(pid).ok()?.stat().ok()?;
    Some(((stat.utime + stat.stime) as f64 / ticks_per_second() as f64, stat.rss * page_size()))
}

/// The process that listens at `address`, if that is on this machine and may be looked at.
pub fn listener(address: SocketAddr) -> Option<i32> {
    let here = address.ip().is_loopback();
    let any = |ip: IpAddr| ip.is_unspecified() || ip == address.ip();
    let sockets = procfs::net::tcp().into_iter().chain(procfs::net::tcp6()).flatten();
    let listening = sockets.filter(|entry| entry.state == TcpState::Listen);
    let inode = listening
        .filter(|entry| here && entry.local_address.port() == address.port() && any(entry.local_address.ip()))
        .map(|entry| entry.inode)
        .next()?;
    let holds = |process: &Process| {
        let descriptors = process.fd().into_iter().flatten().flatten();
        descriptors.map(|fd| fd.target).any(|target| matches!(target, FDTarget::Socket(held) if held == inode))
    };
    all_processes().ok()?.flatten().find(holds).map(|process| process.pid)
}

/// CPU and metrics at one moment.
#[derive(Debug, Clone, Default)]
pub struct Look {
    pub seconds: f64,
    pub load_cpu: Option<f64>,
    pub server_cpu: Option<f64>,
    pub server_memory: Option<u64>,
    pub scrape: Option<Scrape>,
}

impl Watched {
    pub async fn look(&self, seconds: f64) -> Look {
        let scrape = self.scrape().await;
        let server = self.pid.and_then(process);
        // without its process there is what it says itself, in whole seconds
        let said = |name: &str| scrape.as_ref().and_then(|scrape| scrape.get(name));
        Look {
            seconds,
            load_cpu: process(std::process::id() as i32).map(|(cpu, _)| cpu),
            server_cpu: server.map(|(cpu, _)| cpu).or_else(|| said("process_cpu_seconds_total")),
            server_memory: server
                .map(|(_, memory)| memory)
                .or_else(|| said("process_resident_memory_bytes").map(|bytes| bytes as u64)),
            scrape,
        }
    }

    async fn scrape(&self) -> Option<Scrape> {
        let request = self.http.get(self.metrics.as_ref()?).timeout(EVERY * 5);
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        Some(Scrape::parse(&answer.text().await.ok()?))
    }
}

/// Looks that are taken as a run goes on.
#[derive(Default)]
pub struct Log {
    pub samples: Vec<Sample>,
    /// At the beginning and the end of what is measured.
    pub first: Option<Look>,
    pub last: Option<Look>,
}

/// Watches until it is dropped. `measured`: seconds from the start.
pub async fn watch(
    watched: Watched,
    measured: std::ops::Range<f64>,
    clock: impl Fn() -> f64,
    calls: impl Fn() -> usize,
    log: Arc<Mutex<Log>>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut before: Option<Look> = None;
    let (mut stride, mut count) = (1_usize, 0_usize);
    loop {
        ticks.tick().await;
        count += 1;
        if !count.is_multiple_of(stride) {
            continue;
        }
        let look = watched.look(clock()).await;
        let mut log = log.lock().await;
        log.samples.push(sample(&look, before.as_ref(), calls()));
        if log.samples.len() > SAMPLES {
            let mut index = 0;
            log.samples.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            stride *= 2;
        }
        if look.seconds <= measured.start || log.first.is_none() {
            log.first = Some(look.clone());
        }
        if look.seconds <= measured.end + 1.5 * EVERY.as_secs_f64() {
            log.last = Some(look.clone());
        }
        before = Some(look);
    }
}

fn sample(look: &Look, before: Option<&Look>, calls: usize) -> Sample {
    let cores = |now: Option<f64>, then: fn(&Look) -> Option<f64>| {
        let before = before?;
        let seconds = look.seconds - before.seconds;
        Some((now? - then(before)?) / seconds).filter(|_| seconds > 0.1)
    };
    Sample {
        seconds: look.seconds,
        calls,
        load_cores: cores(look.load_cpu, |look| look.load_cpu),
        server_cores: cores(look.server_cpu, |look| look.server_cpu),
        server_memory_bytes: look.server_memory,
        server_calls: look.scrape.as_ref().and_then(|scrape| scrape.get("sotto_calls_on_air")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_here_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listener(socket.local_addr().unwrap()), Some(std::process::id() as i32));
        assert_eq!(listener("192.0.2.1:80".parse().unwrap()), None);
    }

    #[test]
    fn cores_come_from_the_look_before() {
        let look = |seconds, cpu| Look { seconds, server_cpu: Some(cpu), ..Look::default() };
        let made = sample(&look(12.0, 7.0), Some(&look(10.0, 4.0)), 5);
        assert_eq!((made.server_cores, made.load_cores, made.calls), (Some(1.5), None, 5));
    }
}
