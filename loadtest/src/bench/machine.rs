//! What the figures were measured on, and what the process has used.

use procfs::{CpuInfo, Current, process::Process, ticks_per_second};
use serde::Serialize;

use super::Failure;

/// The machine, as far as it explains figures.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    /// Whether 8-bit products have their own instruction, which halves the recogniser's cost.
    pub vnni: bool,
    pub system: String,
}

/// Reads it from the kernel.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn machine() -> Result<Machine, Failure> {
    let cpu = CpuInfo::current()?;
    let flags = cpu.flags(0).unwrap_or_default();
    Ok(Machine {
        processor: cpu.model_name(0).unwrap_or("unknown").to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        vnni: flags.iter().any(|&flag| flag == "avx512_vnni" || flag == "avx_vnni"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Processor time of this process so far, user and system, in seconds (in steps of 10 ms).
///
/// # Errors
/// When `/proc` cannot be read.
pub fn cpu_seconds() -> Result<f64, Failure> {
    let stat = Process::myself()?.stat()?;
    Ok((stat.utime + stat.stime) as f64 / ticks_per_second() as f64)
}

/// The most memory this process has had, in bytes.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn peak_memory() -> Result<u64, Failure> {
    Ok(Process::myself()?.status()?.vmhwm.unwrap_or(0) * 1024)
}
