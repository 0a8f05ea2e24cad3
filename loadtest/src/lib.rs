//! What measures Sotto: cost, latency and accuracy of the pipeline (`sotto-bench`), and live calls over real sockets
//! (`sotto-load`). The server links nothing of this.

pub mod bench;
pub mod load;
