//! What measures Sotto: cost, latency and accuracy of the pipeline (`sotto-bench`). The server links nothing of this.

pub mod bench;
