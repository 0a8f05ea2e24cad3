//! Finding, checking and loading the model files that `models/fetch` prepares.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ort::{
    environment::Environment,
    operator::OperatorDomain,
    session::{Session, builder::SessionBuilder},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    recogniser::{Encoder, Moonshine},
    vad::Vad,
};

/// What a recogniser's folder holds, for every processor.
const RECOGNISER_FILES: [&str; 2] = ["decoder.onnx", "tokenizer.bin"];
/// What it or a folder in it holds, for this processor.
const HEARING: [&str; 2] = ["stem.onnx", "encoder.onnx"];
/// The folder in it with those graphs whose products of bytes are Sotto's own.
#[cfg(target_arch = "x86_64")]
const AVX2: &str = "avx2";
const MEND: &str = "run `make setup` to fetch and build it again";

/// Why the models cannot be used, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("model file {file} is missing in {}; {MEND}", folder.display())]
    Missing { file: String, folder: PathBuf },
    #[error("model file {file} in {} is damaged (its checksum differs from manifest.json); {MEND}", folder.display())]
    Corrupt { file: String, folder: PathBuf },
    #[error("manifest.json in {} cannot be read ({why}); {MEND}", folder.display())]
    Manifest { folder: PathBuf, why: String },
    #[error("the ONNX Runtime library cannot be loaded: {0}; {MEND}")]
    Runtime(String),
    #[error("there is no recogniser {name}; there are: {there}")]
    Unknown { name: String, there: String },
    #[error("speech model: {0}")]
    Inference(String),
}

impl<T> From<ort::Error<T>> for ModelError {
    fn from(error: ort::Error<T>) -> Self {
        Self::Inference(error.to_string())
    }
}

#[derive(Debug, Deserialize)]
struct Manifest {
    recognisers: BTreeMap<String, RecogniserEntry>,
    files: BTreeMap<String, FileEntry>,
}

#[derive(Debug, Deserialize)]
struct RecogniserEntry {
    version: String,
    shape: Shape,
}

/// Sizes of a recogniser.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Shape {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    /// Channels behind the second convolution.
    pub stem: usize,
    pub vocabulary: usize,
}

#[derive(Debug, Deserialize)]
struct FileEntry {
    sha256: String,
}

/// A checked folder of model files with the runtime that runs them.
pub struct Models {
    folder: PathBuf,
    recognisers: BTreeMap<String, RecogniserEntry>,
    environment: Environment,
}

impl Models {
    /// Checks every file that this processor needs against the manifest and loads the runtime library.
    ///
    /// # Errors
    /// Says which file is missing or damaged and how to mend it.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let manifest = read_manifest(folder)?;
        let own = ["libonnxruntime.so", "vad.onnx"].map(PathBuf::from).into_iter();
        let parts = |name: &String| {
            let name = Path::new(name);
            let hearing = HEARING.map(|file| hearing_of(name).join(file));
            RECOGNISER_FILES.map(|file| name.join(file)).into_iter().chain(hearing)
        };
        for required in own.chain(manifest.recognisers.keys().flat_map(parts)) {
            let file = required.display().to_string();
            match manifest.files.get(&file) {
                Some(entry) => verify(folder, &file, &entry.sha256)?,
                None => return Err(ModelError::Missing { file, folder: folder.to_owned() }),
            }
        }
        let environment = ort::init_from(folder.join("libonnxruntime.so"))
            .map_err(|error| ModelError::Runtime(error.to_string()))?
            .with_name("sotto")
            .with_telemetry(false)
            .build()
            .map_err(|error| ModelError::Runtime(error.to_string()))?;
        Ok(Self { folder: folder.to_owned(), recognisers: manifest.recognisers, environment })
    }

    /// Loads a voice activity model.
    ///
    /// # Errors
    /// When the graph cannot be loaded.
    pub fn vad(&self) -> Result<Vad, ModelError> {
        Vad::load(&self.environment, &self.folder.join("vad.onnx"))
    }

    /// Loads a recogniser.
    ///
    /// # Errors
    /// When there is none of this name, or a graph or the tokenizer cannot be loaded.
    pub fn recogniser(&self, name: &str) -> Result<Moonshine, ModelError> {
        let RecogniserEntry { version, shape } = self.entry(name)?;
        Moonshine::load(&self.environment, &self.folder.join(name), version, *shape)
    }

    /// Loads one more encoder of a recogniser.
    ///
    /// # Errors
    /// When there is no recogniser of this name, or its graph cannot be loaded.
    pub fn encoder(&self, name: &str) -> Result<Encoder, ModelError> {
        let shape = self.entry(name)?.shape;
        Encoder::load(&self.environment, &hearing_of(&self.folder.join(name)), shape)
    }

    fn entry(&self, name: &str) -> Result<&RecogniserEntry, ModelError> {
        self.recognisers.get(name).ok_or_else(|| {
            let there = self.recognisers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            ModelError::Unknown { name: name.to_owned(), there }
        })
    }
}

fn read_manifest(folder: &Path) -> Result<Manifest, ModelError> {
    let text = fs::read(folder.join("manifest.json"))
        .map_err(|error| ModelError::Manifest { folder: folder.to_owned(), why: error.to_string() })?;
    serde_json::from_slice(&text)
        .map_err(|error| ModelError::Manifest { folder: folder.to_owned(), why: error.to_string() })
}

fn verify(folder: &Path, file: &str, sha256: &str) -> Result<(), ModelError> {
    let bytes = fs::read(folder.join(file))
        .map_err(|_| ModelError::Missing { file: file.to_owned(), folder: folder.to_owned() })?;
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if digest == sha256 {
        Ok(())
    } else {
        Err(ModelError::Corrupt { file: file.to_owned(), folder: folder.to_owned() })
    }
}

/// One thread a session: the engine's own threads are the only ones that compute.
pub(crate) fn session(environment: &Environment, file: &Path) -> Result<Session, ModelError> {
    Ok(builder(environment)?.commit_from_file(file)?)
}

/// The same with operators of our own.
pub(crate) fn session_with(
    environment: &Environment,
    file: &Path,
    operators: &Arc<OperatorDomain>,
) -> Result<Session, ModelError> {
    Ok(builder(environment)?.with_operators(Arc::clone(operators))?.commit_from_file(file)?)
}

fn builder(environment: &Environment) -> Result<SessionBuilder, ModelError> {
    // windows differ in length: patterns and an arena would keep the room of each length that ever came
    let builder = Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_memory_pattern(false)?
        .with_execution_providers([ort::ep::CPU::default().with_arena_allocator(false).build()])?;
    if lacks_sums_of_bytes() {
        // its products of bytes would overflow otherwise
        return Ok(builder.with_config_entry("session.x64quantprecision", "1")?);
    }
    Ok(builder)
}

/// Where in a recogniser's folder the stem and the encoder for this processor lie.
pub(crate) fn hearing_of(recogniser: &Path) -> PathBuf {
    #[cfg(target_arch = "x86_64")]
    if lacks_sums_of_bytes() && pulp::x86::V3::try_new().is_some() {
        return recogniser.join(AVX2);
    }
    recogniser.to_owned()
}

/// Whether this is an x86 processor without VNNI, an instruction for sums of four products of bytes.
fn lacks_sums_of_bytes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return !(is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni"));
    #[cfg(not(target_arch = "x86_64"))]
    false
}
